//! What a store asks of a database is answered alike by SQLite and by Debian's PostgreSQL.
#![allow(clippy::disallowed_methods)]

use std::time::Duration;

use booth_database::elsewhere::Elsewhere;
use booth_database::postgres::{Address, Role};
use booth_database::shape::{self, ShapeError};
use booth_database::{
    Connection, Error, OptionalExtension, Result, TransactionBehavior, Value, params,
    params_from_iter,
};
use booth_stage::postgres::{self, Server, Shown};

const TABLES: &str = "
-- Things; with a remark; in it.
CREATE TABLE thing (
  id TEXT PRIMARY KEY, number INTEGER, share REAL, body BLOB, text TEXT NOT NULL DEFAULT 'x'
) STRICT;
CREATE TABLE counted (seq INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE VIEW seen AS SELECT * FROM thing WHERE number > 0;
INSERT INTO counted VALUES (7, 'seed');
";

fn newest() -> Result<Connection> {
    let db = Connection::open_in_memory()?;
    db.execute_batch(TABLES)?;
    Ok(db)
}

fn address(server: &Server, name: &str) -> Address {
    let address = server.database(name).expect("a database");
    Address::parse(&address).expect("an address")
}

fn connect(address: &Address, role: Role) -> Connection {
    Connection::open_postgres(address, "things", role).expect("connects")
}

fn made(address: &Address) -> Connection {
    let db = connect(address, Role::Writer);
    shape::bring_up(&db, 3, newest, |_| String::new()).expect("made");
    db
}

fn server(what: &str) -> Option<Server> {
    Server::start(what).expect("PostgreSQL starts")
}

#[test]
fn both_databases_give_the_same_answers() {
    let sqlite = newest().expect("made");
    answers(&sqlite);
    let Some(server) = server("the same answers from PostgreSQL") else {
        return;
    };
    answers(&made(&address(&server, "answers")));
}

/// Everything that the stores use, asked once.
fn answers(db: &Connection) {
    let insert = "INSERT INTO thing (id, number, share, body, text) VALUES (?1, ?2, ?3, ?4, ?5)";
    let put = |id: &str, number: Option<i64>, share: f64, body: &[u8], text: &str| {
        db.prepare_cached(insert)?
            .execute(params![id, number, share, body, text])
    };
    assert_eq!(put("b", Some(2), 0.5, &[0, 255], "æøå").expect("put"), 1);
    assert_eq!(put("a", Some(-1), 1e300, &[], "").expect("put"), 1);
    assert_eq!(put("å", None, -0.0, b"x", "Ærø").expect("put"), 1);
    let row: (String, Option<i64>, f64, Vec<u8>, String) = db
        .query_row("SELECT * FROM thing WHERE id = ?1", ["b"], |row| {
            Ok((
                row.get(0)?,
                row.get("number")?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
            ))
        })
        .expect("found");
    assert_eq!(row, ("b".into(), Some(2), 0.5, vec![0, 255], "æøå".into()));
    let none = db.query_row("SELECT id FROM thing WHERE id = 'c'", [], |row| {
        row.get::<_, String>(0)
    });
    assert_eq!(none.optional().expect("no fault"), None);
    // Texts are ordered by their bytes, numbers without a value are the least.
    let ids = |sql: &str| -> Vec<String> {
        let mut statement = db.prepare(sql).expect("a statement");
        let ids = statement.query_map([], |row| row.get(0)).expect("rows");
        ids.collect::<Result<_>>().expect("read")
    };
    assert_eq!(ids("SELECT id FROM thing ORDER BY id"), ["a", "b", "å"]);
    assert_eq!(
        ids("SELECT id FROM thing ORDER BY rowid DESC"),
        ["å", "a", "b"]
    );
    assert_eq!(ids("SELECT id FROM seen"), ["b"]);
    assert_eq!(
        ids("SELECT id FROM thing WHERE number IS NOT 2 ORDER BY id"),
        ["a", "å"]
    );
    assert_eq!(
        ids("SELECT id FROM thing ORDER BY id LIMIT -1 OFFSET 1"),
        ["b", "å"]
    );
    let same: Vec<String> = db
        .prepare("SELECT id FROM thing WHERE number IS ?2 AND (id = ?1 OR ?1 IS NULL)")
        .and_then(|mut all| {
            let ids = all.query_map(params![Option::<&str>::None, Option::<i64>::None], |row| {
                row.get(0)
            })?;
            ids.collect()
        })
        .expect("read");
    assert_eq!(same, ["å"]);
    let sums: (i64, f64, bool, bool, i64, i64) = db
        .query_row(
            "SELECT sum(number), avg(number), count(*) = 3, 1 > 2, max(3, sum(number)), count(*) FILTER (WHERE number > 0) FROM thing",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)),
        )
        .expect("summed");
    assert_eq!(sums, (1, 0.5, true, false, 3, 1));
    let times: (Option<i64>, Option<i64>) = db
        .query_row(
            "SELECT unixepoch(?1), unixepoch(?2)",
            ["2026-03-02T10:00:00.500Z", "no time"],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("times");
    assert_eq!(times, (Some(1_772_445_600), None));
    // What is there stays, with either way to say so.
    let again = "INSERT OR IGNORE INTO counted (name) VALUES (?1)";
    assert_eq!(db.execute(again, ["seed"]).expect("nothing"), 0);
    assert_eq!(db.execute(again, ["new"]).expect("one"), 1);
    // PostgreSQL may leave numbers out.
    let number = db.query_row("SELECT seq FROM counted WHERE name = 'new'", [], |row| {
        row.get(0)
    });
    let number: i64 = number.expect("a number");
    assert!(number > 7, "{number}");
    assert_eq!(db.last_insert_rowid().expect("a number"), number);
    let values = [
        Value::Text("c".into()),
        Value::Null,
        Value::Real(2.0),
        Value::Null,
        Value::Text("t".into()),
    ];
    db.prepare(insert)
        .and_then(|mut put| put.execute(params_from_iter(values)))
        .expect("put");
    assert_eq!(
        ids("SELECT id FROM thing WHERE share = 2 AND body IS NULL"),
        ["c"]
    );
    let mut rows = db
        .prepare("SELECT body, text FROM thing WHERE id = 'b'")
        .expect("a statement");
    let mut rows = rows.query([]).expect("rows");
    let row = rows.next().expect("no fault").expect("a row");
    assert_eq!(row.get_ref(1).expect("a column").as_str(), Ok("æøå"));
    assert!(row.get::<_, i64>(1).is_err(), "a text is no number");
    assert!(row.get::<_, i64>(9).is_err() && row.get::<_, i64>("no").is_err());
    assert!(rows.next().expect("no fault").is_none());
}

#[test]
fn a_text_with_a_nul_is_kept_with_a_mark_in_its_place() {
    let Some(server) = server("a NUL in a text of PostgreSQL") else {
        return;
    };
    let db = made(&address(&server, "nul"));
    db.execute(
        "INSERT INTO thing (id, body) VALUES (?1, ?2)",
        params!["a\0b", b"a\0b".as_slice()],
    )
    .expect("kept");
    let found: (String, Vec<u8>) = db
        .query_row(
            "SELECT id, body FROM thing WHERE id = ?1",
            ["a\0b"],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .expect("found under the same name");
    assert_eq!(found, ("a\u{fffd}b".to_owned(), b"a\0b".to_vec()));
}

#[test]
fn a_transaction_in_which_a_statement_failed_is_never_called_committed() {
    let Some(server) = server("a failed transaction of PostgreSQL") else {
        return;
    };
    let address = address(&server, "failed");
    let mut db = made(&address);
    let tx = db.transaction().expect("begins");
    tx.execute("INSERT INTO thing (id) VALUES ('a')", [])
        .expect("put");
    let refused = tx.execute("INSERT INTO thing (id) VALUES ('a')", []);
    assert!(matches!(refused, Err(Error::Postgres { code, .. }) if code == "23505"));
    assert!(matches!(
        tx.execute("INSERT INTO thing (id) VALUES ('b')", []),
        Err(Error::GivenUp)
    ));
    assert!(matches!(tx.commit(), Err(Error::GivenUp)));
    let count = "SELECT count(*) FROM thing";
    assert_eq!(
        db.query_row(count, [], |row| row.get::<_, i64>(0))
            .expect("counted"),
        0
    );
    // One that is dropped is not kept either, and the next one is as usual.
    drop(db.transaction().expect("begins"));
    let tx = db.transaction().expect("begins");
    tx.execute("INSERT INTO thing (id) VALUES ('a')", [])
        .expect("put");
    tx.commit().expect("kept");
    let reader = connect(&address, Role::Reader);
    assert_eq!(
        reader
            .query_row(count, [], |row| row.get::<_, i64>(0))
            .expect("counted"),
        1
    );
    assert!(
        reader.execute("DELETE FROM thing", []).is_err(),
        "a reader does not write"
    );
}

#[test]
fn one_writer_at_a_time_sees_what_the_one_before_left_and_a_reader_sees_one_moment() {
    let Some(server) = server("writers and readers of PostgreSQL") else {
        return;
    };
    let address = address(&server, "writers");
    let first = made(&address);
    let second = connect(&address, Role::Writer);
    second.busy_timeout(Duration::from_millis(50)).expect("set");
    first.begin(TransactionBehavior::Immediate).expect("begins");
    first
        .execute("INSERT INTO thing (id) VALUES ('a')", [])
        .expect("put");
    let waited = second.begin(TransactionBehavior::Immediate);
    assert!(matches!(waited, Err(Error::Postgres { code, .. }) if code == "55P03"));
    assert!(second.is_autocommit());
    first.commit().expect("kept");
    let reader = connect(&address, Role::Reader);
    let page = reader.unchecked_transaction().expect("begins");
    let count = "SELECT count(*) FROM thing";
    let seen = |db: &Connection| {
        db.query_row(count, [], |row| row.get::<_, i64>(0))
            .expect("counted")
    };
    assert_eq!(seen(&page), 1);
    second
        .begin(TransactionBehavior::Immediate)
        .expect("its turn");
    assert_eq!(seen(&second), 1);
    second
        .execute("INSERT INTO thing (id) VALUES ('b')", [])
        .expect("put");
    second.commit().expect("kept");
    assert_eq!(seen(&page), 1, "the moment in which it began");
    drop(page);
    assert_eq!(seen(&reader), 2);
    // Only one at a time holds a name.
    assert!(first.hold("store").expect("asked"));
    assert!(!second.hold("store").expect("asked"));
    drop(first);
    assert!(second.hold("store").expect("asked"));
}

#[test]
fn a_server_that_goes_away_costs_what_was_under_way_and_is_connected_to_again() {
    let Some(mut server) = server("a PostgreSQL that goes away") else {
        return;
    };
    let address = address(&server, "away");
    let db = made(&address);
    let reader = connect(&address, Role::Reader);
    let count = "SELECT count(*) FROM thing";
    let seen = |db: &Connection| db.query_row(count, [], |row| row.get::<_, i64>(0));
    assert!(db.hold("store").expect("held"));
    db.begin(TransactionBehavior::Immediate).expect("begins");
    db.execute("INSERT INTO thing (id) VALUES ('a')", [])
        .expect("put");
    server.stop().expect("stopped");
    let fault = db
        .execute("INSERT INTO thing (id) VALUES ('b')", [])
        .expect_err("away");
    assert!(fault.is_away(), "{fault}");
    assert!(
        fault.to_string().contains("connects again by itself"),
        "{fault}"
    );
    assert!(matches!(db.commit(), Err(Error::GivenUp)));
    assert!(
        db.begin(TransactionBehavior::Immediate)
            .expect_err("away")
            .is_away()
    );
    assert!(seen(&reader).expect_err("away").is_away());
    server.start_again().expect("starts");
    assert_eq!(seen(&reader).expect("connects again"), 0);
    db.begin(TransactionBehavior::Immediate)
        .expect("connects again");
    db.execute("INSERT INTO thing (id) VALUES ('a')", [])
        .expect("put");
    db.commit().expect("kept");
    assert_eq!(seen(&reader).expect("read"), 1);
    let other = connect(&address, Role::Writer);
    other.busy_timeout(Duration::from_millis(50)).expect("set");
    assert!(
        !other.hold("store").expect("asked"),
        "it was taken again with the connection"
    );
}

#[test]
fn a_namespace_is_brought_up_to_date_once_and_a_newer_one_is_refused() {
    let Some(server) = server("versions of a PostgreSQL") else {
        return;
    };
    let address = address(&server, "versions");
    let db = made(&address);
    shape::bring_up(&db, 3, newest, |_| panic!("nothing to do")).expect("as it was");
    assert_eq!(shape::version_of(&db).expect("asked"), Some(3));
    let step = "ALTER TABLE thing ADD COLUMN more INTEGER NOT NULL DEFAULT 4; UPDATE thing SET text = 'y;';";
    db.execute("INSERT INTO thing (id) VALUES ('a')", [])
        .expect("put");
    shape::bring_up(&db, 4, newest, |found| {
        assert_eq!(found, 3);
        step.to_owned()
    })
    .expect("brought up");
    let row = db.query_row("SELECT more, text FROM thing", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
    });
    assert_eq!(row.expect("a row"), (4, "y;".to_owned()));
    let newer = shape::bring_up(&db, 3, newest, |_| String::new());
    assert!(matches!(
        newer,
        Err(ShapeError::Version { found: 4, known: 3 })
    ));
    // A step that fails leaves what was there.
    let failed = shape::bring_up(&db, 5, newest, |_| {
        "ALTER TABLE thing ADD COLUMN z INTEGER; SELECT no;".to_owned()
    });
    assert!(failed.is_err());
    assert_eq!(shape::version_of(&db).expect("asked"), Some(4));
    assert!(db.query_row("SELECT z FROM thing", [], |_| Ok(())).is_err());
}

#[test]
fn a_move_that_is_cut_off_leaves_nothing_and_one_that_ends_has_every_row() {
    let Some(server) = server("moving to PostgreSQL") else {
        return;
    };
    let address = address(&server, "moved");
    let sqlite = newest().expect("made");
    for n in 0..50 {
        let insert = "INSERT INTO thing (id, number) VALUES (?1, ?2)";
        sqlite
            .execute(insert, params![format!("{n:02}"), n])
            .expect("put");
    }
    let db = connect(&address, Role::Writer);
    let cut = shape::move_in(&sqlite, &db, 3, &mut |done| {
        if done == 20 {
            let ends =
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'moved'";
            server.psql("postgres", ends).expect("ended");
        }
    });
    assert!(cut.is_err());
    assert_eq!(shape::version_of(&db).expect("connects again"), None);
    let moved = shape::move_in(&sqlite, &db, 3, &mut |_| ()).expect("moved");
    assert_eq!(moved, 51);
    let sum: i64 = db
        .query_row("SELECT CAST(sum(number) AS BIGINT) FROM thing", [], |row| {
            row.get(0)
        })
        .expect("a sum");
    assert_eq!(sum, 49 * 50 / 2);
    let next = "INSERT INTO counted (name) VALUES ('next') RETURNING seq";
    let seq: i64 = db.query_row(next, [], |row| row.get(0)).expect("put");
    assert_eq!(seq, 8);
    let again = shape::move_in(&sqlite, &db, 3, &mut |_| ());
    assert!(matches!(again, Err(ShapeError::Version { found: 3, .. })));
}

/// An authority's certificate, and what a server called localhost shows by it, PEM.
struct Authority {
    own: String,
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let own_key = rcgen::KeyPair::generate().expect("a key");
        let own = authority.self_signed(&own_key).expect("signed");
        let issuer = rcgen::Issuer::new(authority, own_key);
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
            .expect("parameters")
            .signed_by(&key, &issuer)
            .expect("signed");
        Self {
            own: own.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    fn shown(&self) -> Shown<'_> {
        Shown {
            certificate: &self.certificate,
            key: &self.key,
        }
    }
}

#[test]
fn a_server_beyond_this_machine_is_spoken_with_over_tls_alone_and_has_to_show_who_it_is() {
    let started = Server::start_on_loopback("a database over TLS").expect("PostgreSQL starts");
    let Some(mut server) = started else {
        return;
    };
    server.database("far").expect("a database");
    let folder = tempfile::tempdir().expect("a folder");
    let (ca_file, password_file) = (folder.path().join("ca.pem"), folder.path().join("password"));
    std::fs::write(&password_file, postgres::PASSWORD).expect("written");
    let (first, second) = (Authority::new(), Authority::new());
    std::fs::write(&ca_file, &first.own).expect("written");
    let connect = |server: &Server, by_name: &str, password: &str| {
        std::fs::write(&password_file, password).expect("written");
        let far = Elsewhere {
            database: server.address_over_tls(by_name, "far"),
            password_file: Some(password_file.clone()),
            ca_file: Some(ca_file.clone()),
        };
        let address = far.address().expect("an address");
        Connection::open_postgres(&address, "things", Role::Writer)
    };
    // It speaks none: nothing is said in the open instead, not even the password.
    let fault = connect(&server, "localhost", postgres::PASSWORD).expect_err("no TLS");
    assert!(
        fault.is_away() && fault.to_string().contains("ssl = on"),
        "{fault}"
    );
    server.show(first.shown()).expect("shown");
    let db = connect(&server, "localhost", postgres::PASSWORD).expect("connects");
    let is_over_tls: bool = db
        .query_row(
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
            [],
            |row| row.get(0),
        )
        .expect("asked");
    assert!(is_over_tls);
    let fault = connect(&server, "localhost", "another").expect_err("another password");
    assert!(!fault.is_away(), "{fault}");
    // Another name, and another authority.
    let fault = connect(&server, "127.0.0.1", postgres::PASSWORD).expect_err("another name");
    assert!(
        fault
            .to_string()
            .contains("for another name than 127.0.0.1"),
        "{fault}"
    );
    std::fs::write(&ca_file, &second.own).expect("written");
    let fault = connect(&server, "localhost", postgres::PASSWORD).expect_err("another authority");
    assert!(
        fault.is_away() && fault.to_string().contains("database_ca_file"),
        "{fault}"
    );
    // The server's certificate is made anew while a session has been open: it connects again by the authority of now.
    server.show(second.shown()).expect("shown");
    let again: i64 = db
        .query_row("SELECT 7", [], |row| row.get(0))
        .expect("connects again");
    assert_eq!(again, 7);
}
