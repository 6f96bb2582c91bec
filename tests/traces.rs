//! Traces of contacts, recorded by `booth-gateway run --record-trace` or written by hand: what must come of each stands in it.
#![allow(clippy::disallowed_methods)]

use std::path::Path;

use booth_gateway::gateway::trace::Trace;

#[test]
fn every_trace_comes_to_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/traces");
    let mut replayed = 0;
    for file in std::fs::read_dir(folder).expect("traces") {
        let path = file.expect("a trace").path();
        let text = std::fs::read_to_string(&path).expect("text");
        let trace = Trace::parse(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        let events = trace.replay();
        let events: Vec<String> = events.iter().map(|event| format!("{event:?}")).collect();
        assert!(!trace.wanted.is_empty(), "{}", path.display());
        assert_eq!(events, trace.wanted, "{}", path.display());
        replayed += 1;
    }
    assert!(replayed >= 2);
}
