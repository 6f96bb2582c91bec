//! What attackers tried, one file for each of them, named by what must hold.
#![allow(clippy::disallowed_methods)]

mod a_broker_beyond_every_limit_ends_no_connection;
mod a_brokers_owner_commands_nothing_that_takes_a_signature;
mod a_brokers_owner_hears_no_word_and_is_believed_in_little;
mod a_card_full_of_strange_files;
mod a_crowd_at_the_pages_keeps_no_clip_out;
mod a_flood_from_the_centre_takes_no_memory_of_a_booth;
mod a_flood_of_one_booth_leaves_the_others_their_speed;
mod a_gateway_that_was_broken_into_holds_up_nobody;
mod a_passer_by_closes_no_booth;
mod flood;
mod nobody_speaks_for_another_booth;
mod the_store_does_not_forget;
