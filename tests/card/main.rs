//! The card: what a technician writes on it, what the image makes of it, and its updates.

mod drained;
mod early_lamp;
mod image_data;
mod image_locks;
mod networks;
mod old_card;
mod provision;
mod pulled;
mod stick;
mod update;
mod update_booth;
