//! How arguments are given again.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::*;

/// Exactly one of both, and no place beside it.
#[derive(Debug, Args, Serialize, Deserialize)]
#[group(required = true, multiple = false, conflicts_with = "place")]
struct Source {
    #[arg(long)]
    image: Option<String>,
    #[arg(long)]
    directory: Option<String>,
}

/// Both or neither.
#[derive(Debug, Args)]
struct Login {
    #[arg(long)]
    user: String,
    #[arg(long)]
    password: SecretString,
}

#[derive(Debug, Args, Serialize, Deserialize)]
struct Release {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    #[serde(skip)]
    login: Option<Login>,
    #[arg(long, group = "speed")]
    fast: bool,
    #[arg(long, group = "speed")]
    slow: bool,
    place: Option<String>,
}

fn recipe() -> impl Recipe {
    let build = async |_: Release, _: Env| -> Result<Shipment> {
        Err(Error::new(code::CONFIG_ARGUMENTS, "not built here"))
    };
    Of { verb: "ship", about: "ships", may_be_first: true, build, args: std::marker::PhantomData }
}

/// What a verb that rebuilds the run understands of these words.
fn given(words: &[&str]) -> Result<ArgMatches, clap::Error> {
    let command = Command::new("resume").no_binary_name(true);
    recipe().augment_for_update(command).try_get_matches_from(words)
}

#[test]
fn what_excludes_each_other_in_a_ship_does_so_when_it_is_given_again() {
    for fine in [&[][..], &["--image=a"], &["--directory=a", "--slow"], &["--user=u"]] {
        assert!(given(fine).is_ok(), "{fine:?}");
    }
    for both in [&["--image=a", "--directory=b"][..], &["--fast", "--slow"]] {
        let error = given(both).unwrap_err();
        assert_eq!(error.kind(), clap::error::ErrorKind::ArgumentConflict, "{both:?}");
    }
}

#[test]
fn secrets_that_belong_together_are_given_again_together() {
    let journalled = json!({
        "source": {"image": "a", "directory": null}, "fast": true, "slow": false, "place": null,
    });
    let again = |words: &[&str]| given_again::<Release>(&journalled, &given(words).unwrap());
    assert!(again(&[]).unwrap().login.is_none());
    let release = again(&["--user=u", "--password=secret", "--image=a"]).unwrap();
    let login = release.login.unwrap();
    assert_eq!((login.user.as_str(), login.password.expose_secret()), ("u", "secret"));
    assert_eq!(release.source.image.as_deref(), Some("a"));
    assert_eq!(again(&["--user=u"]).unwrap_err().code().area(), "usage");
    for other in ["--image=b", "--directory=a", "--slow"] {
        let error = again(&["--user=u", "--password=secret", other]).unwrap_err();
        assert_eq!(*error.code(), code::CONFIG_ARGUMENTS, "{other}: {error}");
    }
}

/// Every way in which a flag may be written.
#[derive(Debug, Args, Serialize, Deserialize)]
struct Odd {
    #[arg(long, short, alias = "picture", visible_short_alias = 'p')]
    image: Option<String>,
    #[arg(long, num_args = 2)]
    pair: Vec<String>,
    #[arg(long, allow_hyphen_values = true)]
    start: Option<String>,
    #[arg(long, allow_negative_numbers = true)]
    offset: Option<i64>,
    #[arg(long, ignore_case = true, value_parser = ["Blue", "Green"])]
    color: Option<String>,
    #[arg(long, num_args = 1.., value_terminator = ";")]
    words: Vec<String>,
    #[arg(long, num_args = 0..=1, default_missing_value = "all")]
    only: Option<String>,
    #[arg(long, value_delimiter = ',')]
    tags: Vec<String>,
}

#[test]
fn what_a_ship_understands_is_understood_when_it_is_given_again() {
    let build = async |_: Odd, _: Env| -> Result<Shipment> {
        Err(Error::new(code::CONFIG_ARGUMENTS, "not built here"))
    };
    let recipe = Of {
        verb: "ship",
        about: "ships",
        may_be_first: true,
        build,
        args: std::marker::PhantomData,
    };
    let parsed = |command: Command, words: &[&str]| {
        command.no_binary_name(true).try_get_matches_from(words).map_err(|error| usage(&error))
    };
    let shipped = |words: &[&str]| {
        let given = parsed(recipe.augment(Command::new("ship")), words).unwrap();
        to_json(&<Odd as clap::FromArgMatches>::from_arg_matches(&given).unwrap()).unwrap()
    };
    let again = |journalled: &Value, words: &[&str]| {
        let given = parsed(recipe.augment_for_update(Command::new("resume")), words)?;
        given_again::<Odd>(journalled, &given).map(|_| ())
    };
    let ways: &[(&[&str], &[&str])] = &[
        (&["--picture", "a"], &["--image=b"]),
        (&["-p", "a"], &["-p", "b"]),
        (&["--pair", "a", "b"], &["--pair", "b", "a"]),
        (&["--pair", "a", "b", "--pair", "c", "d"], &["--pair", "a", "b"]),
        (&["--start", "-x -y"], &["--start", "-z"]),
        (&["--offset", "-3"], &["--offset", "-4"]),
        (&["--color", "blue"], &["--color", "GREEN"]),
        (&["--words", "a", "b", ";", "--only", "it"], &["--words", "a", ";"]),
        (&["--only"], &["--only", "none"]),
        (&["--tags", "a,b", "--tags", "c"], &["--tags", "a"]),
    ];
    for (same, different) in ways {
        let journalled = shipped(same);
        again(&journalled, same).unwrap_or_else(|error| panic!("{same:?}: {error}"));
        let refused = again(&journalled, different).unwrap_err();
        assert_eq!(*refused.code(), code::CONFIG_ARGUMENTS, "{different:?}: {refused}");
        let nothing = shipped(&[]);
        let refused = again(&nothing, same).unwrap_err();
        assert_eq!(*refused.code(), code::CONFIG_ARGUMENTS, "{same:?}: {refused}");
    }
    let all: Vec<_> = ways[..].iter().step_by(2).flat_map(|(same, _)| *same).copied().collect();
    again(&shipped(&all), &all).unwrap();
}

#[derive(Debug, Args, Serialize, Deserialize)]
struct Stop {
    #[arg(long)]
    all: bool,
    #[arg(long, short)]
    fast: bool,
}

#[test]
fn a_flag_of_another_way_to_ship_is_found_when_it_is_given_by_hand() {
    let build = async |_: Stop, _: Env| -> Result<Shipment> {
        Err(Error::new(code::CONFIG_ARGUMENTS, "not built here"))
    };
    let stop = Of {
        verb: "stop",
        about: "stops",
        may_be_first: false,
        build,
        args: std::marker::PhantomData,
    };
    let recipes: [Shared; 2] = [Arc::new(recipe()), Arc::new(stop)];
    let command = recipes[1].augment_for_update(Command::new("resume").no_binary_name(true));
    let command = command.arg(Arg::new("image").long("image"));
    let found = |words: &[&str], of: usize| {
        let given = command.clone().try_get_matches_from(words).unwrap();
        of_another(&recipes[of], &recipes, &given).map(|(flag, verb)| format!("{flag} of {verb}"))
    };
    assert_eq!(found(&["--all"], 0).as_deref(), Some("--all of stop"));
    assert_eq!(found(&["--all"], 1), None);
    assert_eq!(found(&["--image=a"], 1).as_deref(), Some("--image of ship"));
    assert_eq!(found(&["--fast"], 0), None, "both have it");
    assert_eq!(found(&[], 0), None);
}
