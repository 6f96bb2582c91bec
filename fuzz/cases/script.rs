//! A script of messages: `topic`, a line feed, the payload, and 0x1E before the next one.

/// Most messages of one script.
const MAX_MESSAGES: usize = 64;

/// Takes a script apart.
pub fn messages(data: &[u8]) -> impl Iterator<Item = (String, &[u8])> {
    data.split(|&byte| byte == 0x1E)
        .take(MAX_MESSAGES)
        .map(|message| {
            let end = message.iter().position(|&byte| byte == b'\n');
            let (topic, payload) = match end {
                Some(end) => (&message[..end], &message[end + 1..]),
                None => (message, &[][..]),
            };
            (String::from_utf8_lossy(topic).into_owned(), payload)
        })
}

/// Puts a script together.
pub fn script(messages: &[(&str, &str)]) -> Vec<u8> {
    let each: Vec<String> = messages
        .iter()
        .map(|(topic, payload)| format!("{topic}\n{payload}"))
        .collect();
    each.join("\u{1e}").into_bytes()
}
