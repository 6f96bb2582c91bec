//! The booth's loop, its workers and the hub's store in this process: whole booths in virtual time, what fuzzers think up, the
//! contacts of handsets. No test here may start a program: until it runs, a child holds the locks of every card and store that
//! this process has open, and who opens one again meanwhile is told that it is in use.

mod centre;
mod fuzz_slice;
mod orders;
mod run_loop;
mod sensors;
mod simulation;
mod traces;
mod wet_keypad;
mod workers;
