//! The files of a function, as they are found and sent.

use std::path::Path;

use gatekit_core::{Effect, Error};
use gatekit_emulators::SupabaseCall;
use gatekit_supabase::functions::{Deploy, Function};
use serde_json::{Value, json};

use super::world::{World, code};

const INDEX: &str = "supabase/functions/hello/index.ts";

fn world(files: &[(&str, &str)]) -> World {
    let world = World::new();
    files.iter().for_each(|(path, text)| world.write(path, text));
    world
}

/// The deploy as it was sent: the paths of the files in their order, and the metadata.
async fn sent(world: &World) -> (Vec<String>, Value) {
    sent_as(world, Function::new("hello").unwrap()).await
}

async fn sent_as(world: &World, function: Function) -> (Vec<String>, Value) {
    let deploy = Deploy::new(&world.project(), world.root.path(), world.keep.path(), [function]);
    let deploy = deploy.unwrap();
    world.run(&deploy).ship().await;
    let call = world.emulator.calls().into_iter().find(|it| it.operation == "DeployFunction");
    let call: SupabaseCall = call.unwrap();
    let files = call.parts.iter().filter(|it| it.name == "file");
    (files.map(|it| it.file.clone().unwrap()).collect(), call.metadata())
}

/// The error of a plan.
async fn refused(world: &World) -> Error {
    let deploy = world.deploy(&["hello"]);
    world.run(&deploy).plan().await.unwrap_err()
}

#[tokio::test]
async fn what_is_imported_is_sent_and_nothing_else() {
    let world = world(&[
        (
            INDEX,
            "import { a } from './a.ts'\nimport 'npm:x'\n// import './not.ts'\nimport('../_shared/s.ts')",
        ),
        ("supabase/functions/hello/a.ts", "export * from './b/c.ts'\nimport data from './d.json'"),
        ("supabase/functions/hello/b/c.ts", "import '../index.ts'; import '../../_shared/s.ts'"),
        ("supabase/functions/hello/d.json", "{ \"import\": \"./not.ts\" }"),
        ("supabase/functions/_shared/s.ts", "export const s = `import './not.ts'`"),
        ("supabase/functions/hello/unused.ts", ""),
        ("supabase/functions/world/index.ts", ""),
    ]);
    let (files, metadata) = sent(&world).await;
    let functions = |it: &str| format!("supabase/functions/{it}");
    let found = ["hello/index.ts", "hello/a.ts", "_shared/s.ts", "hello/b/c.ts", "hello/d.json"];
    assert_eq!(files, found.map(functions));
    assert_eq!(
        metadata,
        json!({ "entrypoint_path": INDEX, "import_map_path": "", "static_patterns": [],
                "verify_jwt": true, "name": "hello" })
    );
}

#[tokio::test]
async fn the_configuration_says_where_things_are() {
    let config = "
        project_id = 'demo'
        [functions.hello]
        verify_jwt = false
        entrypoint = './functions/hello/main.tsx'
        import_map = './functions/map.json'
        static_files = ['./functions/hello/*.html', './functions/pages/**/*.txt']
        mood = 'good'
        [functions.other]
        entrypoint = './nowhere.ts'";
    let world = world(&[
        ("supabase/config.toml", config),
        ("supabase/functions/hello/main.tsx", "import 'greet'"),
        ("supabase/functions/map.json", "{ \"imports\": { \"greet\": \"./_shared/greet.ts\" } }"),
        ("supabase/functions/_shared/greet.ts", ""),
        ("supabase/functions/hello/deno.json", "{ it is not read }"),
        ("supabase/functions/hello/b.html", ""),
        ("supabase/functions/hello/a.html", "import './not.ts'"),
        ("supabase/functions/hello/sub/c.html", ""),
        ("supabase/functions/pages/x/y/z.txt", ""),
    ]);
    let (files, metadata) = sent(&world).await;
    let functions = |it: &str| format!("supabase/functions/{it}");
    let found = [
        "map.json",
        "hello/main.tsx",
        "_shared/greet.ts",
        "hello/a.html",
        "hello/b.html",
        "pages/x/y/z.txt",
    ];
    assert_eq!(files, found.map(functions));
    assert_eq!(
        metadata,
        json!({
            "entrypoint_path": functions("hello/main.tsx"), "import_map_path": functions("map.json"),
            "static_patterns": [functions("hello/*.html"), functions("pages/**/*.txt")],
            "verify_jwt": false, "name": "hello",
        })
    );
}

#[tokio::test]
async fn the_import_map_is_the_first_that_there_is() {
    let places = [
        "own.json",
        "supabase/configured.json",
        "supabase/functions/hello/deno.json",
        "supabase/functions/hello/deno.jsonc",
        "supabase/functions/hello/import_map.json",
        "supabase/functions/import_map.json",
    ];
    for first in 0..=places.len() {
        let world = world(&[(INDEX, "")]);
        let rest = places.get(first..).unwrap();
        rest.iter().for_each(|path| world.write(path, "{}"));
        if first <= 1 {
            world.write(
                "supabase/config.toml",
                "[functions.hello]\nimport_map = './configured.json'",
            );
        }
        let function = Function::new("hello").unwrap();
        let function = if first == 0 { function.with_import_map("own.json") } else { function };
        let (files, metadata) = sent_as(&world, function).await;
        let expected = rest.first().copied().unwrap_or_default();
        assert_eq!(metadata["import_map_path"], expected);
        let maps = files.iter().filter(|it| *it != INDEX).collect::<Vec<_>>();
        assert_eq!(maps, rest.iter().take(1).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_map_that_deno_has_elsewhere_is_sent_with_it() {
    let world = world(&[
        (INDEX, "import '@/s.ts'"),
        (
            "supabase/functions/hello/deno.json",
            "{ /* see */ \"importMap\": \"../maps/map.json\", }",
        ),
        ("supabase/functions/maps/map.json", "{ \"imports\": { \"@/\": \"../_shared/\" } }"),
        ("supabase/functions/_shared/s.ts", ""),
    ]);
    let (files, metadata) = sent(&world).await;
    let functions = |it: &str| format!("supabase/functions/{it}");
    assert_eq!(
        files,
        ["hello/deno.json", "maps/map.json", "hello/index.ts", "_shared/s.ts"].map(functions)
    );
    assert_eq!(metadata["import_map_path"], functions("hello/deno.json"));
}

#[tokio::test]
async fn a_file_that_is_missing_is_named_with_who_names_it() {
    let import = ("supabase/functions/hello/deno.json", "{ \"imports\": { \"x\": \"./x.ts\" } }");
    for (files, missing, by) in [
        (&[][..], INDEX, ""),
        (&[(INDEX, "import './gone.ts'")], "hello/gone.ts", INDEX),
        (&[(INDEX, "import 'x'"), import], "hello/x.ts", INDEX),
        (&[(INDEX, "import '.'")], "supabase/functions/hello", INDEX),
        (
            &[
                (INDEX, ""),
                ("supabase/config.toml", "[functions.hello]\nstatic_files = ['*.html']"),
            ],
            "supabase/*.html",
            "supabase/config.toml",
        ),
    ] {
        let error = refused(&world(files)).await;
        assert_eq!(code(&error), ("functions.no_file", Effect::None), "{missing}");
        let text = error.to_string();
        assert!(text.contains(missing) && text.contains(by), "{text}");
    }
    let world = world(&[(INDEX, "")]);
    let gone = world.deploy_from(Path::new("/nowhere/at/all"), &["hello"]);
    assert_eq!(
        code(&world.run(&gone).plan().await.unwrap_err()),
        ("functions.no_file", Effect::None)
    );
}

#[tokio::test]
async fn nothing_outside_of_the_project_is_sent() {
    let escaping = "{ \"imports\": { \"x\": \"../../../../x.ts\" } }";
    let config = |key: &str| format!("[functions.hello]\n{key}");
    let (entrypoint, pattern) =
        (config("entrypoint = '../../x.ts'"), config("static_files = ['../../*']"));
    for files in [
        &[(INDEX, "import '../../../../x.ts'")][..],
        &[(INDEX, "import '/etc/hostname'")],
        &[(INDEX, "import 'file:///etc/hostname'")],
        &[(INDEX, "import 'x'"), ("supabase/functions/hello/deno.json", escaping)],
        &[(INDEX, ""), ("supabase/config.toml", &entrypoint)],
        &[(INDEX, ""), ("supabase/config.toml", &pattern)],
        &[(INDEX, ""), ("supabase/config.toml", "[functions.hello]\nimport_map = '/etc/hostname'")],
    ] {
        let error = refused(&world(files)).await;
        assert_eq!(code(&error), ("functions.outside", Effect::None), "{files:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_may_lead_within_the_project_and_not_out_of_it() {
    let secret = tempfile::tempdir().unwrap();
    std::fs::write(secret.path().join("key.ts"), "CANARY").unwrap();
    let linked = |to: &Path| {
        let world = world(&[(INDEX, "import './link.ts'"), ("supabase/shared.ts", "shared")]);
        let link = world.root.path().join("supabase/functions/hello/link.ts");
        std::os::unix::fs::symlink(to, link).unwrap();
        world
    };
    let error = refused(&linked(&secret.path().join("key.ts"))).await;
    assert_eq!(code(&error), ("functions.outside", Effect::None));
    let error = refused(&linked(Path::new("../../gone.ts"))).await;
    assert_eq!(code(&error), ("functions.no_file", Effect::None));
    let (files, _) = sent(&linked(Path::new("../../shared.ts"))).await;
    assert_eq!(files, [INDEX, "supabase/functions/hello/link.ts"], "under its own name");
    let world = world(&[
        (INDEX, ""),
        ("supabase/config.toml", "[functions.hello]\nstatic_files = ['*.ts']"),
    ]);
    let link = world.root.path().join("supabase/key.ts");
    std::os::unix::fs::symlink(secret.path().join("key.ts"), link).unwrap();
    assert_eq!(code(&refused(&world).await), ("functions.outside", Effect::None), "by a pattern");
}

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    for (path, content, expected) in [
        ("supabase/functions/hello/a.ts", &b"\xff"[..], ("functions.unreadable", Effect::None)),
        (
            "supabase/functions/hello/deno.json",
            b"{ imports }",
            ("functions.import_map", Effect::None),
        ),
        ("supabase/functions/hello/deno.json", b"\xff", ("functions.unreadable", Effect::None)),
        (
            "supabase/config.toml",
            b"[functions.hello]\nverify_jwt = 'CANARY'",
            ("functions.config", Effect::None),
        ),
        ("supabase/config.toml", b"password = CANARY", ("functions.config", Effect::None)),
        (
            "supabase/config.toml",
            b"[functions.hello]\nenabled = false",
            ("functions.config", Effect::None),
        ),
        (
            "supabase/config.toml",
            b"[functions.hello]\nstatic_files = ['***']",
            ("functions.config", Effect::None),
        ),
    ] {
        let world = world(&[(INDEX, "import './a.ts'"), ("supabase/functions/hello/a.ts", "")]);
        world.write(path, content);
        assert_eq!(code(&refused(&world).await), expected, "{path}");
    }
}

#[tokio::test]
async fn more_than_may_be_sent_is_refused() {
    let world = world(&[
        (INDEX, ""),
        ("supabase/config.toml", "[functions.hello]\nstatic_files = ['*.bin']"),
    ]);
    // Sparse: it takes no room.
    let file = std::fs::File::create(world.root.path().join("supabase/large.bin")).unwrap();
    file.set_len(65 * 1024 * 1024).unwrap();
    assert_eq!(code(&refused(&world).await), ("functions.too_large", Effect::None));
}

#[tokio::test]
async fn what_is_configured_for_the_project_comes_first() {
    let remote = |id: &str, text: &str| {
        format!("[remotes.mine]\nproject_id = '{id}'\n[remotes.mine.functions.hello]\n{text}\n")
    };
    let own = gatekit_emulators::Supabase::PROJECT;
    let base = "[functions.hello]\nverify_jwt = true\nentrypoint = './functions/hello/index.ts'
        import_map = './base.json'\nstatic_files = ['./base.json']\n[remotes.other]
        project_id = 'zzzzzzzzzzzzzzzzzzzz'\n[remotes.other.functions.hello]\nenabled = false\n";
    let main = "entrypoint = './functions/hello/main.ts'\nverify_jwt = false
        import_map = './mine.json'\nstatic_files = ['./mine.json']";
    let (base_map, mine) = ("supabase/base.json", "supabase/mine.json");
    for (id, text, jwt, entrypoint, map) in [
        (own, main, false, "supabase/functions/hello/main.ts", mine),
        (own, "verify_jwt = false", false, INDEX, base_map),
        (own, "import_map = './mine.json'", true, INDEX, mine),
        ("zzzzzzzzzzzzzzzzzzzy", main, true, INDEX, base_map),
    ] {
        let config = format!("{base}{}", remote(id, text));
        let files = [
            ("supabase/config.toml", &*config),
            (INDEX, ""),
            ("supabase/functions/hello/main.ts", ""),
            (base_map, "{}"),
            (mine, "{}"),
        ];
        let (_, metadata) = sent(&world(&files)).await;
        assert_eq!(metadata["verify_jwt"], jwt, "{id} {text}");
        assert_eq!(metadata["entrypoint_path"], entrypoint, "{id} {text}");
        assert_eq!(metadata["import_map_path"], map, "{id} {text}");
        let patterns = if text == main && id == own { mine } else { base_map };
        assert_eq!(metadata["static_patterns"][0], patterns, "{id} {text}");
    }
    for (config, what) in [
        (remote(own, "enabled = false"), "disabled"),
        (format!("{}[remotes.b]\nproject_id = '{own}'", remote(own, "")), "two remotes"),
    ] {
        let error = refused(&world(&[("supabase/config.toml", &config), (INDEX, "")])).await;
        assert_eq!(code(&error), ("functions.config", Effect::None));
        assert!(error.to_string().contains(what), "{error}");
    }
}
