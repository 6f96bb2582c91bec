//! The published schemas of the payloads (docs/schema) and the list of topics (docs/asyncapi.yaml), as programs that are not ours read
//! them: Debian's python3-jsonschema and python3-yaml.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::repository;

/// Reads lines `[schema, payload]`, and prints a line for each payload that does not fit.
const JUDGE: &str = "\
import json, sys
from jsonschema import Draft7Validator
known = {}
for number, line in enumerate(sys.stdin):
    path, payload = json.loads(line)
    if path not in known:
        schema = json.load(open(path))
        Draft7Validator.check_schema(schema)
        known[path] = Draft7Validator(schema)
    for error in known[path].iter_errors(payload):
        print(number, path, '/'.join(map(str, error.absolute_path)), error.message, json.dumps(payload))
";

fn python(script: &str, arguments: &[&Path], input: &str) -> String {
    let mut program = Command::new("python3")
        .args(["-W", "ignore", "-c", script])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut typed = program.stdin.take().expect("a pipe");
    let input = input.to_owned();
    let typing = std::thread::spawn(move || typed.write_all(input.as_bytes()));
    let output = program.wait_with_output().expect("it ends");
    typing.join().expect("no panic").expect("read to its end");
    assert!(
        output.status.success(),
        "install python3-jsonschema and python3-yaml (`make packages`)"
    );
    String::from_utf8(output.stdout).expect("text")
}

/// The schema of this name.
pub fn schema(name: &str) -> Value {
    let path = repository().join(format!("docs/schema/{name}.json"));
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The payloads, each with the name of its schema, that do not fit: a line for each fault.
pub fn misfits(payloads: &[(&str, Value)]) -> Vec<String> {
    let line = |(name, payload): &(&str, Value)| {
        let path = repository().join(format!("docs/schema/{name}.json"));
        format!("{}\n", json!([path, payload]))
    };
    let lines: String = payloads.iter().map(line).collect();
    let said = python(JUDGE, &[], &lines);
    said.lines().map(str::to_owned).collect()
}

/// Which of these payloads do not fit, by their places in the list.
pub fn refused(payloads: &[(&str, Value)]) -> BTreeSet<usize> {
    let lines = misfits(payloads);
    let place = |line: &String| line.split(' ').next()?.parse().ok();
    lines.iter().filter_map(place).collect()
}

/// docs/asyncapi.yaml.
pub fn asyncapi() -> Value {
    let path = repository().join("docs/asyncapi.yaml");
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    serde_json::from_str(&python(script, &[&path], "")).expect("JSON")
}

/// What is wrong with a document by the schema in this file: a line for each fault.
pub fn faults_by(schema: &Path, document: &Value) -> Vec<String> {
    let said = python(JUDGE, &[], &format!("{}\n", json!([schema, document])));
    said.lines().map(str::to_owned).collect()
}
