//! The waveform of a message as SVG, with what is cut and silenced.
//!
//! Owns: the drawing. Pure. Never does: use a colour; classes and the style sheet do.

use booth_audio::Portrait;
use maud::{Markup, PreEscaped, html};

use super::decide::Content;

/// Height of the drawing; its width is the number of bars.
const HEIGHT: f32 = 100.0;

/// The drawing, with a title that says what it is.
pub(super) fn drawing(portrait: &Portrait, content: &Content, title: &str) -> Markup {
    let bars = portrait.bars.len().max(1) as f32;
    let length = portrait.length.ms().max(1) as f32;
    let place = |ms: u64| ms as f32 / length * bars;
    let mut path = String::new();
    // A soft voice is seen as well as a loud one.
    let loudest = portrait.bars.iter().copied().fold(0.02f32, f32::max);
    for (number, bar) in portrait.bars.iter().enumerate() {
        let half = (bar / loudest * HEIGHT / 2.0).max(0.5);
        let (top, x) = (HEIGHT / 2.0 - half, number);
        path += &format!("M{x}.5 {top:.1}v{:.1}", half * 2.0);
    }
    let span = |class: &str, from: u64, to: u64| {
        let x = place(from).min(bars);
        let width = (place(to).min(bars) - x).max(0.0);
        html! { rect class=(class) x=(format!("{x:.1}")) y="0" width=(format!("{width:.1}")) height=(HEIGHT) {} }
    };
    let end = portrait.length.ms();
    html! {
        svg.wave role="img" viewBox=(format!("0 0 {bars} {HEIGHT}")) preserveAspectRatio="none" {
            title { (title) }
            @for (from, to) in &portrait.pauses { (span("pause", *from, *to)) }
            path.bars d=(PreEscaped(path)) {}
            @if let Some(from) = content.trim_from_ms { (span("cut", 0, from)) }
            @if let Some(to) = content.trim_to_ms { (span("cut", to, end.max(to))) }
            @for (from, to) in &content.silenced { (span("silenced", *from, *to)) }
            line.now x1="0" x2="0" y1="0" y2=(HEIGHT) {}
        }
    }
}
