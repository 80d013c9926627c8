//! The same by HTTP, in real time.

use std::time::Duration;

use gatekit_aws::cloudwatch::Alarms;
use gatekit_aws::code;
use gatekit_core::Gate as _;
use gatekit_emulators::{Alarm, AlarmState, Injection};

use super::{account, run, s};
use crate::account::{at, nobody};

#[tokio::test]
async fn a_bake_over_the_wire_passes_or_fails() {
    let account = account();
    account.put_alarm(Alarm::composite("web"));
    let listening = account.listen(0).await.unwrap();
    for trouble in ["throttled:1", "cut-after:1", "slow:2", "server-error:1"] {
        account.inject(trouble.parse::<Injection>().unwrap());
    }
    let gate = Alarms::of(&at(&listening.url()), "alarms", ["web", "web-5xx"]).unwrap();
    let gate = gate.bake(Duration::from_millis(800));
    assert!(gate.check(&run(&gate, s(30))).await.unwrap().is_pass());
    let run = run(&gate, s(30));
    let later = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        account.turn_alarm("web", AlarmState::Alarm);
    };
    let (verdict, ()) = tokio::join!(gate.check(&run), later);
    assert_eq!(verdict.unwrap().finding().unwrap().code, code::ALARM_FIRING);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_unreachable() {
    let account = account();
    let url = account.listen(0).await.unwrap().url();
    let gate = Alarms::of(&at(&url), "alarms", ["web-5xx"]).unwrap();
    let error = gate.check(&run(&gate, s(2))).await.unwrap_err();
    assert_eq!(*error.code(), code::UNREACHABLE);
}

/// A call that was cut off after it was sent may have happened, whatever the SDK calls that.
#[tokio::test]
async fn a_call_that_is_cut_off_was_perhaps_made_and_one_without_credentials_was_not() {
    let account = account();
    let listening = account.listen(0).await.unwrap();
    account.inject("cut-after:1000".parse::<Injection>().unwrap());
    let gate = Alarms::of(&at(&listening.url()), "alarms", ["web-5xx"]).unwrap();
    let error = gate.check(&run(&gate, s(2))).await.unwrap_err();
    assert_eq!(*error.code(), code::UNREACHABLE);
    let made = account.calls().len();
    assert!(made > 1, "it has asked again");
    let gate = Alarms::of(&nobody(&listening.url()), "alarms", ["web-5xx"]).unwrap();
    let error = gate.check(&run(&gate, s(2))).await.unwrap_err();
    assert_eq!(*error.code(), code::NOT_SENT);
    assert_eq!(account.calls().len(), made);
}
