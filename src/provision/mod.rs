pub mod guise;
pub mod judge;
