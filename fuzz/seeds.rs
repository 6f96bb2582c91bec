//! Writes each case's seeds into the folder that is named: `<folder>/<case>/seed-<n>`.
#![allow(clippy::disallowed_methods)]

#[path = "cases/mod.rs"]
mod cases;

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "seeds".into());
    for case in cases::CASES {
        let place = std::path::Path::new(&folder).join(case.name);
        std::fs::create_dir_all(&place)?;
        for (number, seed) in (case.seeds)().into_iter().enumerate() {
            std::fs::write(place.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
