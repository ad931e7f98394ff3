//! The plan of the house: imports go down only, roles never import each other, the core does no I/O.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by floor, lowest first. A room may import from lower floors; on its own floor only from itself, but for the
/// floors that say otherwise.
const FLOORS: [(&str, &[&str], bool); 8] = [
    ("vocabulary", &["clock", "detector", "model", "event"], true),
    ("core", &["profile", "drift", "quality", "performance", "window", "rollout"], true),
    ("ports", &["processors", "telemetry", "bus", "codec", "state", "artifacts", "archive", "onnx", "query"], true),
    ("frame", &["runner"], false),
    ("roles", &["ingest", "join", "evaluate", "notify", "registry", "serve"], false),
    ("edges", &["api"], false),
    ("front door", &["settings", "app"], true),
    ("command line", &["cli"], false),
];

/// What the core must not touch.
const IO: [&str; 9] =
    ["tokio", "rdkafka", "slatedb", "std::fs", "std::net", "std::thread", "reqwest", "object_store", "async_trait"];

#[test]
fn imports_go_down_only_and_roles_never_import_each_other() {
    let floors: BTreeMap<&str, (usize, bool)> = FLOORS
        .iter()
        .enumerate()
        .flat_map(|(floor, (_, rooms, open))| rooms.iter().map(move |room| (*room, (floor, *open))))
        .collect();
    let mut wrong = Vec::new();
    for (file, room, text) in sources() {
        let Some((floor, open)) = floors.get(room.as_str()) else {
            assert!(["lib", "main"].contains(&room.as_str()), "{room} is on no floor of the plan");
            continue;
        };
        for imported in imported_rooms(&text) {
            let Some((other, _)) = floors.get(imported.as_str()) else { continue };
            let own_floor = other == floor && (*open || imported == room);
            if other > floor || (other == floor && !own_floor) {
                wrong.push(format!("{} imports {imported}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "imports that go up or across:\n{}", wrong.join("\n"));
}

#[test]
fn the_core_does_no_io() {
    let core: Vec<&str> = FLOORS[..2].iter().flat_map(|(_, rooms, _)| rooms.iter().copied()).collect();
    for (file, room, text) in sources().into_iter().filter(|(_, room, _)| core.contains(&room.as_str())) {
        for word in IO {
            assert!(!text.contains(word), "{} of {room} mentions {word}", file.display());
        }
    }
}

#[test]
fn no_file_is_longer_than_five_hundred_lines() {
    for (file, _, text) in ["src", "tests", "benches"].into_iter().flat_map(files) {
        let lines = text.lines().count();
        assert!(lines <= 500, "{} has {lines} lines", file.display());
    }
}

fn sources() -> Vec<(PathBuf, String, String)> {
    let found = files("src");
    assert!(found.len() > 50, "the sources were not found");
    found
}

/// Every file of Rust below `folder` with the room it is in and its text, comments left out.
fn files(folder: &str) -> Vec<(PathBuf, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(&root).unwrap();
                let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
                let room = first.trim_end_matches(".rs").to_owned();
                let text = fs::read_to_string(&path).unwrap();
                let is_code = |line: &&str| !line.trim_start().starts_with("//");
                let code: Vec<&str> = text.lines().filter(is_code).collect();
                found.push((path.clone(), room, code.join("\n")));
            }
        }
    }
    assert!(!found.is_empty(), "{} has no sources", root.display());
    found
}

/// Rooms named as `crate::room` anywhere, in `use` and in paths.
fn imported_rooms(text: &str) -> Vec<String> {
    let name = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    text.split("crate::").skip(1).map(name).filter(|name| !name.is_empty()).collect()
}
