//! A city under attack: its Mosquitto with the shipped rules, its hub, and somebody with one booth's password who sends as fast as a
//! socket takes it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::JoinHandle;

use booth_testkit::city_broker::CityBroker;
use booth_testkit::hub::{Booth, Home, Hub};

/// Who is robbed of the password, and who is not.
pub const LOUD: &str = "robbed-1";
pub const CALM: &str = "rundhoej-1";

/// A city: its broker, and whoever logs in there.
pub struct City {
    pub broker: CityBroker,
}

impl City {
    pub fn start() -> Self {
        let users = [("hub", "right"), (LOUD, "right"), (CALM, "right")];
        Self {
            broker: CityBroker::start(&users),
        }
    }

    /// The folder of its hub.
    pub fn home(&self, more: &str) -> Home {
        let login = "username = \"hub\"\npassword_file = \"password\"\n";
        let home = Home::new(self.broker.port, &format!("{login}{more}"));
        std::fs::write(home.path().join("password"), "right").expect("a file");
        home
    }

    /// A booth that behaves.
    pub fn booth(&self, id: &str) -> Booth {
        let filters = [format!("booth/1/dn/{id}/#"), "booth/1/hub/state".into()];
        Booth::logged_in(self.broker.port, id, Some("right"), &filters)
    }

    /// Its hub, and a booth that has heard that it listens.
    pub fn with_hub(&self) -> (Home, Hub, Booth) {
        let home = self.home("");
        let hub = Hub::start(&home);
        let booth = self.booth(CALM);
        booth.hub_becomes("online");
        (home, hub, booth)
    }
}

/// A packet of MQTT 5: first byte and body.
pub fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    let mut rest = body.len();
    loop {
        let byte = (rest & 0x7f) as u8;
        rest >>= 7;
        packet.push(if rest > 0 { byte | 0x80 } else { byte });
        if rest == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("short");
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

/// A message, of QoS 1 if it has a packet id.
pub fn publish(topic: &str, id: Option<u16>, payload: &[u8]) -> Vec<u8> {
    let mut body = text(topic);
    if let Some(id) = id {
        body.extend(id.to_be_bytes());
    }
    body.push(0);
    body.extend_from_slice(payload);
    packet(if id.is_some() { 0x32 } else { 0x30 }, &body)
}

/// Somebody who sends the same bytes again and again until dropped.
pub struct Flood {
    stream: TcpStream,
    sender: Option<JoinHandle<u64>>,
}

impl Flood {
    /// Logs in as [`LOUD`] and begins.
    pub fn start(port: u16, bytes: Vec<u8>) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the broker");
        let connect = [
            text("MQTT"),
            vec![5, 0xC2, 0, 0, 0],
            text(LOUD),
            text(LOUD),
            text("right"),
        ]
        .concat();
        stream.write_all(&packet(0x10, &connect)).expect("sent");
        let mut connack = [0; 4];
        stream.read_exact(&mut connack).expect("an answer");
        assert_eq!((connack[0], connack[3]), (0x20, 0), "let in");
        let mut answers = stream.try_clone().expect("the same");
        std::thread::spawn(move || {
            let mut unread = [0; 65_536];
            while answers.read(&mut unread).is_ok_and(|read| read > 0) {}
        });
        let mut flooded = stream.try_clone().expect("the same");
        let sender = std::thread::spawn(move || {
            let mut times = 0;
            while flooded.write_all(&bytes).is_ok() {
                times += 1;
            }
            times
        });
        Self {
            stream,
            sender: Some(sender),
        }
    }

    /// How often the bytes were sent.
    pub fn stop(mut self) -> u64 {
        let _ = self.stream.shutdown(Shutdown::Both);
        let sender = self.sender.take().expect("stopped once");
        sender.join().expect("it only writes")
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
