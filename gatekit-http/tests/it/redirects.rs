//! Redirects: followed at home, never abroad.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use crate::server::{Server, ok, redirect, reply};
use crate::support::{ask, failed, once, passed};

#[tokio::test]
async fn at_the_same_origin_are_followed() {
    let server = Server::start(|n, path| match (n, path) {
        (0, "/") => reply("308 Moved", "location: /a?x#part\r\n", "not the answer"),
        (1, "/a?x") => redirect("b"),
        (2, "/b") => ok("1.4.0"),
        _ => reply("500 Oh", "", ""),
    })
    .await;
    let facts = passed(&ask(once(server.url("/"))).await);
    assert_eq!((&facts[0]["redirects"], &facts[0]["bytes"]), (&2.into(), &5.into()));
    let there = server.url("/b");
    let server = Server::start(move |_, _| redirect(&there)).await;
    failed(&ask(once(server.url("/"))).await, "smoke.redirect_elsewhere");
}

#[tokio::test]
async fn in_a_circle_end() {
    let to_itself = Server::start(|_, _| redirect("/")).await;
    failed(&ask(once(to_itself.url("/"))).await, "smoke.redirect_loop");
    assert_eq!(to_itself.requests(), 1);

    let in_two = Server::start(|n, _| redirect(if n % 2 == 0 { "/b" } else { "/a" })).await;
    failed(&ask(once(in_two.url("/a"))).await, "smoke.redirect_loop");
    assert_eq!(in_two.requests(), 2);

    let on_and_on = Server::start(|n, _| redirect(&format!("/{n}"))).await;
    failed(&ask(once(on_and_on.url("/"))).await, "smoke.redirect_loop");
    assert_eq!(on_and_on.requests(), 6, "the first and five redirects");

    let just_enough =
        Server::start(|n, _| if n < 5 { redirect(&format!("/{n}")) } else { ok("") }).await;
    passed(&ask(once(just_enough.url("/"))).await);
}

#[tokio::test]
async fn elsewhere_are_not_followed() {
    let other = Server::start(|_, _| ok("1.4.0")).await;
    let port = other.addr.port();
    for to in [
        other.url("/CANARY?CANARY"),
        format!("//127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("https://127.0.0.1:{port}/"),
        "file:///etc/hostname".to_owned(),
    ] {
        let server = Server::start(move |_, _| redirect(&to)).await;
        let verdict = ask(once(server.url("/"))).await;
        let finding = failed(&verdict, "smoke.redirect_elsewhere");
        assert!(!format!("{finding:?}").contains("CANARY"), "{finding:?}");
    }
    assert_eq!((other.connections(), other.requests()), (0, 0));
}

#[tokio::test]
async fn with_a_password_or_without_sense_are_not_followed() {
    let addr = Arc::new(OnceLock::<SocketAddr>::new());
    let home = Arc::clone(&addr);
    let server = Server::start(move |n, _| match n {
        0 => redirect(&format!("http://u:CANARY@{}/home", home.get().unwrap())),
        _ => ok(""),
    })
    .await;
    addr.set(server.addr).unwrap();
    let verdict = ask(once(server.url("/"))).await;
    let finding = failed(&verdict, "smoke.redirect_elsewhere");
    assert!(!format!("{finding:?}").contains("CANARY"), "{finding:?}");
    assert_eq!(server.requests(), 1);

    let server = Server::start(|_, _| redirect("http://[::")).await;
    failed(&ask(once(server.url("/"))).await, "smoke.status");
}
