//! What is sent, beside what the Supabase CLI was recorded to send and what the API's specification says.

use std::fs;
use std::path::{Path, PathBuf};

use gatekit_emulators::SupabaseCall;
use gatekit_supabase::functions::{Deploy, Function};
use serde_json::{Map, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::world::World;

/// Where gatekit asks otherwise than the CLI does, and why. Each of them is seen in a recording.
const DIFFERENCES: [(&str, &str); 3] = [
    ("order", "the older CLI, in Go, sends the metadata first; the newer one, and gatekit, last"),
    (
        "verify_jwt",
        "the newer CLI leaves it out unless it is configured; gatekit always says what it is to be",
    ),
    ("project", "the newer CLI reads the project for its own output"),
];

/// What lies beside the repository, where it does.
fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(path);
    path.exists().then_some(path)
}

/// The specification of the API.
pub(super) fn specification() -> Option<Value> {
    let text = fs::read(shared("specs/supabase-management.json")?).unwrap();
    Some(serde_json::from_slice(&text).unwrap())
}

/// The requests of a recording, as the emulator has understood them, with the statuses of its answers.
async fn recorded(name: &str) -> Option<Vec<(SupabaseCall, u16)>> {
    let text = fs::read_to_string(shared("recordings/supabase")?.join(name)).unwrap();
    let world = World::with_two();
    let mut calls = Vec::new();
    for line in text.lines() {
        let request: Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| request[name].as_str().unwrap_or_default();
        let body = field("body");
        let kind = request["headers"]["content-type"].as_str().unwrap_or("text/plain");
        let head = format!(
            "{} {} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer x\r\nconnection: close\r\n\
             content-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            field("method"),
            field("path"),
            body.len(),
        );
        let mut stream = TcpStream::connect(world.address()).await.unwrap();
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        calls.push((world.emulator.calls().pop().unwrap(), status));
    }
    Some(calls)
}

/// What gatekit sends for the same functions.
async fn sent(slugs: &[&str], verify_jwt: Option<bool>) -> Vec<SupabaseCall> {
    let world = World::with_two();
    world
        .write("supabase/functions/_shared/greet.ts", "export const greet=(n:string)=>`hi ${n}`\n");
    for slug in slugs {
        let script = format!(
            "import {{ greet }} from \"../_shared/greet.ts\"; Deno.serve(()=>new Response(greet(\"{slug}\")));\n"
        );
        world.write(&format!("supabase/functions/{slug}/index.ts"), script);
    }
    let functions = slugs.iter().map(|slug| {
        let function = Function::new(*slug).unwrap();
        verify_jwt.map_or(function.clone(), |it| function.with_verify_jwt(it))
    });
    let deploy = Deploy::new(&world.project(), world.root.path(), world.keep.path(), functions);
    let deploy = deploy.unwrap();
    world.run(&deploy).ship().await;
    world.emulator.calls()
}

fn writes(calls: impl IntoIterator<Item = SupabaseCall>) -> Vec<SupabaseCall> {
    calls.into_iter().filter(|it| it.method != "GET").collect()
}

/// What differs between two requests that are not alike, by its name.
fn differences(ours: &SupabaseCall, theirs: &SupabaseCall) -> Vec<&'static str> {
    let asked =
        |it: &SupabaseCall| (it.method.clone(), it.path.clone(), it.query.clone(), it.kind.clone());
    assert_eq!(asked(ours), asked(theirs));
    let mut found = Vec::new();
    let split = |call: &SupabaseCall| {
        let (files, others): (Vec<_>, Vec<_>) =
            call.parts.clone().into_iter().partition(|it| it.name == "file");
        (files, others.into_iter().map(|it| (it.name, it.file, it.kind)).collect::<Vec<_>>())
    };
    assert_eq!(split(ours), split(theirs), "parts, byte for byte");
    let last = |call: &SupabaseCall| call.parts.last().map(|it| it.name.clone());
    if last(ours) != last(theirs) {
        found.push("order");
    }
    let without = |value: &Value| {
        let mut map = value.as_object().cloned().unwrap_or_default();
        (map.remove("verify_jwt"), map)
    };
    let ((our_jwt, ours_left), (their_jwt, theirs_left)) =
        (without(&ours.metadata()), without(&theirs.metadata()));
    assert_eq!(ours_left, theirs_left);
    if our_jwt != their_jwt {
        assert_eq!(their_jwt, None);
        found.push("verify_jwt");
    }
    let keys = |call: &SupabaseCall| -> Vec<Vec<String>> {
        let items = call.json.as_array().into_iter().flatten();
        items.map(|it| it.as_object().unwrap().keys().cloned().collect()).collect()
    };
    // Values are those that each server has told when it bundled, the version among them.
    assert_eq!(keys(ours), keys(theirs));
    found
}

#[tokio::test]
async fn what_is_sent_is_what_the_cli_was_recorded_to_send() {
    let mut used = Vec::new();
    for (recording, slugs, verify_jwt, expected) in [
        ("v3-functions-deploy-one.jsonl", &["hello"][..], None, vec!["verify_jwt"]),
        ("v3-functions-deploy-no-verify-jwt.jsonl", &["hello"], Some(false), vec![]),
        ("v2go-functions-deploy-one.jsonl", &["hello"], Some(true), vec!["order"]),
        (
            "v3-functions-deploy-two.jsonl",
            &["hello", "world"],
            None,
            vec!["verify_jwt", "verify_jwt"],
        ),
    ] {
        let Some(theirs) = recorded(recording).await else { return };
        for (call, status) in &theirs {
            // Its bundle was that of another server.
            let is_made_up = call.operation == "BulkUpdateFunctions";
            match (call.operation, status) {
                ("", 404) => used.push("project"),
                _ if is_made_up => assert_eq!(*status, 409, "{recording}"),
                _ => assert!((200..300).contains(status), "{recording} {call:?}"),
            }
        }
        let theirs = writes(theirs.into_iter().map(|(call, _)| call));
        let ours = writes(sent(slugs, verify_jwt).await);
        assert_eq!(ours.len(), theirs.len(), "{recording}");
        let found: Vec<_> = ours.iter().zip(&theirs).flat_map(|(a, b)| differences(a, b)).collect();
        assert_eq!(found, expected, "{recording}");
        used.extend(found);
    }
    for (what, why) in DIFFERENCES {
        assert!(used.contains(&what), "`{what}` does not occur: {why}");
    }
    assert!(used.iter().all(|it| DIFFERENCES.iter().any(|(what, _)| what == it)));
    let secrets = recorded("v3-secrets-list.jsonl").await.unwrap();
    assert_eq!((secrets[0].0.operation, secrets[0].1), ("ListSecrets", 200));
}

/// A document of OpenAPI, as far as it is needed.
struct Specification(Value);

impl Specification {
    /// What is wrong with a value by a schema.
    fn wrong(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.rsplit('/').next().unwrap();
            return self.wrong(&self.0["components"]["schemas"][name], value, at);
        }
        let fits = match schema["type"].as_str().unwrap_or_default() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            _ => false,
        };
        if !fits {
            return vec![format!("{at}: {value} is no {}", schema["type"])];
        }
        let mut wrong = Vec::new();
        if schema["enum"].as_array().is_some_and(|it| !it.contains(value)) {
            wrong.push(format!("{at}: {value} is none of {}", schema["enum"]));
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if value.get(name).is_none() {
                wrong.push(format!("{at}: `{name}` is missing"));
            }
        }
        for (name, item) in value.as_object().into_iter().flatten() {
            match schema["properties"].get(name) {
                Some(schema) => wrong.extend(self.wrong(schema, item, &format!("{at}.{name}"))),
                None => wrong.push(format!("{at}: `{name}` is not known")),
            }
        }
        for item in value.as_array().into_iter().flatten() {
            wrong.extend(self.wrong(&schema["items"], item, at));
        }
        wrong
    }

    /// What is wrong with a call.
    fn wrong_of(&self, call: &SupabaseCall) -> Vec<String> {
        let path = call.path.replace(gatekit_emulators::Supabase::PROJECT, "{ref}");
        let path = path.replace("/functions/hello", "/functions/{function_slug}");
        let path = path.replace("/functions/fresh", "/functions/{function_slug}");
        let operation = &self.0["paths"][&path][call.method.to_lowercase()];
        let mut wrong = Vec::new();
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let known: Vec<_> = parameters.filter(|it| it["in"] == "query").collect();
        for (name, value) in &call.query {
            match known.iter().find(|it| it["name"] == **name) {
                None => wrong.push(format!("{path}: no parameter `{name}`")),
                Some(it)
                    if it["schema"]["type"] == "boolean"
                        && !["true", "false"].contains(&&**value) =>
                {
                    wrong.push(format!("{path}: `{name}` is {value}"));
                }
                _ => {}
            }
        }
        let content = &operation["requestBody"]["content"];
        if operation.is_null() || (content.is_object() && content.get(&call.kind).is_none()) {
            wrong.push(format!("{} {path} with `{}` is not known", call.method, call.kind));
        }
        let schema = &content[&call.kind]["schema"];
        match &*call.kind {
            "application/json" => wrong.extend(self.wrong(schema, &call.json, &path)),
            "multipart/form-data" => {
                let mut form = Map::new();
                form.insert("metadata".to_owned(), call.metadata());
                let files =
                    call.parts.iter().filter(|it| it.name == "file").map(|_| Value::from("bytes"));
                form.insert("file".to_owned(), files.collect());
                wrong.extend(self.wrong(schema, &Value::Object(form), &path));
            }
            _ => {}
        }
        wrong
    }
}

#[tokio::test]
async fn what_is_sent_and_answered_is_as_the_specification_says() {
    let Some(specification) = specification().map(Specification) else { return };
    let world = World::with_hello();
    world.write("supabase/functions/fresh/index.ts", "fresh");
    world.write("supabase/functions/hello/deno.json", "{}");
    for slugs in [&["hello", "fresh"][..], &["hello"]] {
        let deploy = world.deploy(slugs);
        let run = world.run(&deploy);
        let (change, receipt) = run.ship().await;
        let function = &specification.0["components"]["schemas"]["FunctionResponse"];
        let told = world.emulator.with_project(|it| it.told("hello").cloned()).unwrap();
        let wrong = specification.wrong(function, &Value::Object(told), "hello");
        assert!(wrong.is_empty(), "{wrong:#?}");
        run.undo(&change, Some(&receipt)).await.unwrap();
    }
    let calls = world.emulator.calls();
    assert!(
        ["UpdateFunction", "DeleteFunction", "BulkUpdateFunctions", "DeployFunction"]
            .iter()
            .all(|wanted| calls.iter().any(|it| it.operation == *wanted))
    );
    let wrong: Vec<_> = calls.iter().flat_map(|it| specification.wrong_of(it)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    // What it looks for.
    let mut bad = calls.iter().find(|it| it.operation == "DeployFunction").unwrap().clone();
    bad.query.push(("mood".to_owned(), "good".to_owned()));
    bad.parts.retain(|it| it.name != "metadata");
    assert_eq!(specification.wrong_of(&bad).len(), 2);
}
