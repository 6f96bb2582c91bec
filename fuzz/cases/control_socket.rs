//! The lines of the simulated handset's control socket.

use booth_gateway::adapters::handset::HandsetReport;
use booth_gateway::adapters::handset_sim::converse;
use std::sync::atomic::{AtomicUsize, Ordering};

pub fn run(data: &[u8]) {
    let handled = AtomicUsize::new(0);
    let asked = AtomicUsize::new(0);
    let report = |told| match told {
        HandsetReport::Event {
            done: Some(done), ..
        } => {
            handled.fetch_add(1, Ordering::Relaxed);
            done.send(()).expect("the sender waits");
        }
        HandsetReport::State { answer } => {
            asked.fetch_add(1, Ordering::Relaxed);
            answer
                .send("{\"session\":\"idle\"}".into())
                .expect("the sender waits");
        }
        other => panic!("a line cannot mean {other:?}"),
    };
    let mut out = Vec::new();
    converse(data, &mut out, &report).expect("bytes in memory");
    let text = String::from_utf8(out).expect("answers are text");
    let answers: Vec<&str> = text.split_terminator('\n').collect();
    let count = |wanted: &dyn Fn(&str) -> bool| answers.iter().filter(|a| wanted(a)).count();
    assert_eq!(count(&|a| a == "ok"), handled.into_inner());
    assert_eq!(count(&|a| a.starts_with('{')), asked.into_inner());
    assert!(
        answers
            .iter()
            .all(|a| *a == "ok" || a.starts_with('{') || a.starts_with("error: "))
    );
    let lines = data.split(|&byte| byte == b'\n').count();
    assert!(answers.len() <= lines, "more answers than lines");
    assert!(answers.iter().all(|answer| answer.len() < 4_000));
}

pub fn seeds() -> Vec<Vec<u8>> {
    [
        &b"lift\ndial 1\nstate\nhang-up\n"[..],
        b"dial #\ndial *\nbutton\npulse 10\npulse 1\n",
        b"dial 12\npulse 11\njump\ndial\n\n \t \nstate",
        b"\x00\xff\xfe\nstate\n",
        &[b'x'; 300],
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}
