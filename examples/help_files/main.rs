//! Man pages and shell completions of both programs, made of their own help (`make help-files`).

mod made;

use std::path::PathBuf;
use std::process::ExitCode;

use booth_host::{complain, say};

fn main() -> ExitCode {
    let folder = std::env::args_os().nth(1);
    let folder = folder.map_or_else(|| PathBuf::from("target/help"), PathBuf::from);
    match made::write(&folder) {
        Ok(number) => {
            say!("{number} files in {}", folder.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain!("{}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}
