//! The files, from the arguments that the programs themselves read.
#![allow(clippy::disallowed_methods)] // writes files

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

#[path = "../../src/main/arguments.rs"]
#[allow(dead_code)] // the programs read what is only described here
mod gateway;
#[path = "../../crates/hub/src/main/arguments.rs"]
#[allow(dead_code)]
mod hub;

/// The shells that Debian has.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Both programs, as they read their arguments.
pub fn programs() -> [clap::Command; 2] {
    [gateway::Arguments::command(), hub::Arguments::command()]
}

/// Writes `man/` with a page for each program and verb, and `completions/`; how many files they are.
pub fn write(folder: &Path) -> io::Result<usize> {
    let (man, completions) = (folder.join("man"), folder.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    for mut command in programs() {
        clap_mangen::generate_to(command.clone(), &man)?;
        let name = command.get_name().to_owned();
        for shell in SHELLS {
            clap_complete::generate_to(shell, &mut command, &name, &completions)?;
        }
    }
    Ok(fs::read_dir(man)?.count() + fs::read_dir(completions)?.count())
}
