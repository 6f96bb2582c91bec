//! A terminal with a program in it, for programs that draw a screen.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use booth_stage::wait::until;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

/// A terminal of so many cells, with the program in it.
pub struct Glass {
    child: Child,
    keyboard: std::fs::File,
    cells: Arc<Mutex<Cells>>,
}

/// What is on the glass: the few words of ECMA-48 that ratatui needs of a terminal.
struct Cells {
    lines: Vec<Vec<char>>,
    at: (usize, usize),
    /// Every byte, to see how the terminal was left.
    raw: Vec<u8>,
}

impl Cells {
    fn new(columns: usize, rows: usize) -> Self {
        Self {
            lines: vec![vec![' '; columns]; rows],
            at: (0, 0),
            raw: Vec::new(),
        }
    }

    fn text(&self) -> String {
        let lines = self
            .lines
            .iter()
            .map(|line| line.iter().collect::<String>());
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Takes whole sequences; what is cut is left for the next time.
    fn take(&mut self, bytes: &mut Vec<u8>) {
        let whole = match std::str::from_utf8(bytes) {
            Ok(text) => text.len(),
            Err(why) => why.valid_up_to(),
        };
        let text = String::from_utf8_lossy(&bytes[..whole]).into_owned();
        let mut signs = text.char_indices().peekable();
        let mut done = 0;
        while let Some((at, sign)) = signs.next() {
            if sign != '\u{1b}' {
                self.put(sign);
                done = at + sign.len_utf8();
                continue;
            }
            let mut sequence = String::new();
            let end = loop {
                match signs.next() {
                    None => break None,
                    Some((_, '[')) if sequence.is_empty() => sequence.push('['),
                    Some((at, sign)) if sign.is_ascii_alphabetic() => break Some((at, sign)),
                    Some((_, sign)) => sequence.push(sign),
                }
            };
            let Some((at, last)) = end else { break };
            done = at + last.len_utf8();
            self.obey(sequence.trim_start_matches('['), last);
        }
        self.raw.extend(&bytes[..done]);
        bytes.drain(..done);
    }

    fn put(&mut self, sign: char) {
        let (row, column) = self.at;
        if let Some(cell) = self
            .lines
            .get_mut(row)
            .and_then(|line| line.get_mut(column))
        {
            *cell = sign;
        }
        self.at.1 += 1;
    }

    fn obey(&mut self, numbers: &str, last: char) {
        let number = |at: usize| {
            numbers
                .split(';')
                .nth(at)
                .and_then(|text| text.parse::<usize>().ok())
        };
        match last {
            'H' => self.at = (number(0).unwrap_or(1) - 1, number(1).unwrap_or(1) - 1),
            'J' => self.lines.iter_mut().for_each(|line| line.fill(' ')),
            _ => {}
        }
    }
}

impl Glass {
    /// Starts the program on it.
    pub fn around(mut command: Command, columns: u16, rows: u16) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let glass = rustix::pty::openpt(flags).expect("a terminal");
        rustix::pty::grantpt(&glass).expect("granted");
        rustix::pty::unlockpt(&glass).expect("unlocked");
        let size = Winsize {
            ws_col: columns,
            ws_row: rows,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&glass, size).expect("its size");
        let name = rustix::pty::ptsname(&glass, Vec::new()).expect("its name");
        let line = || {
            let name = name.to_str().expect("a name");
            let opened = std::fs::File::options().read(true).write(true).open(name);
            Stdio::from(opened.expect("its other end"))
        };
        command.stdin(line()).stdout(line()).stderr(line());
        let child = command.spawn().expect("it starts");
        // The other end closes with the program alone.
        drop(command);
        let cells = Arc::new(Mutex::new(Cells::new(columns.into(), rows.into())));
        let keyboard = std::fs::File::from(glass);
        let (mut reads, shown) = (keyboard.try_clone().expect("a copy"), Arc::clone(&cells));
        std::thread::spawn(move || {
            let (mut rest, mut chunk) = (Vec::new(), [0; 4096]);
            while let Ok(number @ 1..) = reads.read(&mut chunk) {
                rest.extend(&chunk[..number]);
                shown.lock().expect("no panic").take(&mut rest);
            }
        });
        Self {
            child,
            keyboard,
            cells,
        }
    }

    /// All lines.
    pub fn text(&self) -> String {
        self.cells.lock().expect("no panic").text()
    }

    /// Waits until these words stand on it.
    pub fn shows(&self, words: &str) {
        until(&format!("the terminal shows {words:?}"), || {
            self.text().contains(words).then_some(())
        });
    }

    /// Somebody types.
    pub fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("typed");
    }

    /// Waits for the program's end; its status.
    pub fn ends(&mut self) -> Option<i32> {
        let status = until("the program ends", || self.child.try_wait().expect("asked"));
        status.code()
    }

    /// The program's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the terminal has got this sequence.
    pub fn was_told(&self, sequence: &str) {
        until(&format!("the terminal gets {sequence:?}"), || {
            let cells = self.cells.lock().expect("no panic");
            let raw = String::from_utf8_lossy(&cells.raw).into_owned();
            raw.contains(sequence).then_some(())
        });
    }
}

impl Drop for Glass {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
