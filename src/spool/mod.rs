//! The clips on the card.
