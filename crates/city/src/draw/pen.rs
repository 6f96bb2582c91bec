//! The pen: parts of an SVG, written one after another.
//!
//! Owns: coordinates, escaping, and the mirror: in a language that is written from right to left, a drawing runs from right to left, too. There
//! the anchor `start` of a text is its right end, so that a mirrored place and the same anchor belong together.

use super::Tongue;

/// Where a text stands from its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a part looks: its class for pages, its colour for paper.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look(pub(crate) &'static str, pub(crate) &'static str);

pub(crate) const INK: Look = Look("ink", "#1f1b18");
pub(crate) const SOFT: Look = Look("soft", "#5d554d");
pub(crate) const BAR: Look = Look("bar", "#b3122b");
pub(crate) const REST: Look = Look("rest", "#e8e0d5");

/// See the module's comment.
#[derive(Debug)]
pub(crate) struct Pen {
    width: f64,
    tongue: Tongue,
    is_mirrored: bool,
    out: String,
}

/// A number with at most one decimal.
pub(crate) fn short(number: f64) -> String {
    let tenths = (number * 10.0).round() as i64;
    match tenths % 10 {
        0 => (tenths / 10).to_string(),
        _ => format!("{}", tenths as f64 / 10.0),
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // What XML cannot say (XML 1.0 §2.2).
            letter if letter.is_control() => out.push(' '),
            letter => out.push(letter),
        }
    }
    out
}

/// At most so many letters, the last one a sign that there is more.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}\u{2026}", kept.trim_end())
}

impl Pen {
    /// A drawing of this width that runs in the direction of its language.
    pub(crate) fn new(width: f64, tongue: &Tongue) -> Self {
        Self {
            width,
            tongue: tongue.clone(),
            is_mirrored: tongue.is_rtl,
            out: String::with_capacity(4096),
        }
    }

    /// A drawing that is never mirrored: a map.
    pub(crate) fn fixed(width: f64, tongue: &Tongue) -> Self {
        Self {
            is_mirrored: false,
            ..Self::new(width, tongue)
        }
    }

    pub(super) fn done(self) -> (f64, String, Tongue) {
        (self.width, self.out, self.tongue)
    }

    fn x(&self, x: f64, width: f64) -> String {
        short(if self.is_mirrored {
            self.width - x - width
        } else {
            x
        })
    }

    /// A rectangle, with what a pointer that rests on it is told.
    pub(crate) fn rect(&mut self, look: Look, (x, y, w, h): (f64, f64, f64, f64), tip: &str) {
        let x = self.x(x, w);
        let Look(class, fill) = look;
        let (y, w, h) = (short(y), short(w), short(h));
        let begin = format!(
            "<rect class=\"{class}\" fill=\"{fill}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\""
        );
        self.out.push_str(&begin);
        self.end_with("rect", tip);
    }

    /// A rectangle whose fill is a pattern of [`Pen::hatch`].
    pub(crate) fn hatched(&mut self, pattern: &str, (x, y, w, h): (f64, f64, f64, f64), tip: &str) {
        let x = self.x(x, w);
        let (y, w, h) = (short(y), short(w), short(h));
        let begin = format!(
            "<rect class=\"edge\" fill=\"url(#{pattern})\" stroke=\"#5d554d\" stroke-width=\".5\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\""
        );
        self.out.push_str(&begin);
        self.end_with("rect", tip);
    }

    fn end_with(&mut self, name: &str, tip: &str) {
        match tip.is_empty() {
            true => self.out.push_str("/>"),
            false => {
                let tip = escaped(tip);
                self.out
                    .push_str(&format!("><title>{tip}</title></{name}>"));
            }
        }
    }

    /// A text.
    pub(crate) fn text(
        &mut self,
        look: Look,
        (x, y): (f64, f64),
        anchor: Anchor,
        size: f64,
        text: &str,
    ) {
        self.letters(look, (x, y), anchor, size, false, text);
    }

    /// A text in bold letters.
    pub(crate) fn bold(
        &mut self,
        look: Look,
        (x, y): (f64, f64),
        anchor: Anchor,
        size: f64,
        text: &str,
    ) {
        self.letters(look, (x, y), anchor, size, true, text);
    }

    fn letters(
        &mut self,
        Look(class, fill): Look,
        (x, y): (f64, f64),
        anchor: Anchor,
        size: f64,
        is_bold: bool,
        text: &str,
    ) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let weight = if is_bold { " font-weight=\"700\"" } else { "" };
        let (x, y, size, text) = (self.x(x, 0.0), short(y), short(size), escaped(text));
        self.out.push_str(&format!(
            "<text class=\"{class}\" fill=\"{fill}\" x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{anchor}{weight}>{text}</text>"
        ));
    }

    /// A thin line.
    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64)) {
        let (x1, y1, x2, y2) = (
            self.x(from.0, 0.0),
            short(from.1),
            self.x(to.0, 0.0),
            short(to.1),
        );
        self.out.push_str(&format!(
            "<path class=\"axis\" stroke=\"#ddd4c8\" stroke-width=\"1\" d=\"M{x1} {y1}L{x2} {y2}\"/>"
        ));
    }

    /// A thick line of the accent's colour.
    pub(crate) fn way(&mut self, from: (f64, f64), to: (f64, f64), is_dashed: bool) {
        let (x1, y1, x2, y2) = (
            self.x(from.0, 0.0),
            short(from.1),
            self.x(to.0, 0.0),
            short(to.1),
        );
        let dashes = if is_dashed {
            " stroke-dasharray=\"3 6\""
        } else {
            ""
        };
        self.out.push_str(&format!(
            "<path class=\"way\" stroke=\"#b3122b\" stroke-width=\"4\" stroke-linecap=\"round\"{dashes} d=\"M{x1} {y1}L{x2} {y2}\"/>"
        ));
    }

    /// A disc, full or only its rim.
    pub(crate) fn disc(&mut self, (x, y): (f64, f64), radius: f64, is_full: bool) {
        let (x, y, radius) = (self.x(x, 0.0), short(y), short(radius));
        let look = match is_full {
            true => "class=\"bar\" fill=\"#b3122b\"",
            false => "class=\"none way\" fill=\"#fff\" stroke=\"#b3122b\" stroke-width=\"3\"",
        };
        self.out.push_str(&format!(
            "<circle {look} cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"/>"
        ));
    }

    /// A pattern of thin lines, for what is unknown or not said.
    pub(crate) fn hatch(&mut self, id: &str) {
        self.out.push_str(&format!(
            "<defs><pattern id=\"{id}\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
             <path class=\"none\" fill=\"#fff\" d=\"M0 0h6v6H0z\"/>\
             <path class=\"edge\" stroke=\"#5d554d\" stroke-width=\".9\" d=\"M-1 1l2-2M0 6l6-6M5 7l2-2\"/></pattern></defs>"
        ));
    }

    /// A shape by its path, which is not mirrored.
    pub(crate) fn shape(&mut self, class: &str, fill: &str, d: &str, tip: &str) {
        self.out.push_str(&format!(
            "<path class=\"{class} rim\" fill=\"{fill}\" stroke=\"#fff\" stroke-width=\"1\" fill-rule=\"evenodd\" d=\"{d}\""
        ));
        self.end_with("path", tip);
    }

    /// Where a booth stands: a small booth.
    pub(crate) fn pin(&mut self, (x, y): (f64, f64), tip: &str) {
        let (x, y) = (short(x), short(y));
        self.out.push_str(&format!(
            "<path class=\"pin\" fill=\"#1f1b18\" stroke=\"#fff\" stroke-width=\"1\" transform=\"translate({x} {y})\" d=\"M-4 0v-11q4-4 8 0v11z\""
        ));
        self.end_with("path", tip);
    }

    /// The same at a mirrored place, for a legend.
    pub(crate) fn small_pin(&mut self, (x, y): (f64, f64)) {
        let x = if self.is_mirrored { self.width - x } else { x };
        self.pin((x, y), "");
    }

    /// From here on a fixed drawing runs in the direction of its language, too.
    pub(crate) fn mirror_by_language(&mut self) {
        self.is_mirrored = self.tongue.is_rtl;
    }
}

/// How a step of colour looks.
pub(crate) fn step(step: u8) -> Look {
    const LOOKS: [Look; 5] = [
        Look("c0", super::STEPS[0]),
        Look("c1", super::STEPS[1]),
        Look("c2", super::STEPS[2]),
        Look("c3", super::STEPS[3]),
        Look("c4", super::STEPS[4]),
    ];
    LOOKS[usize::from(step.min(4))]
}

/// How letters on a step of colour look.
pub(crate) fn on_step(step: u8) -> Look {
    const LOOKS: [Look; 5] = [
        Look("on0", super::ON_STEPS[0]),
        Look("on1", super::ON_STEPS[1]),
        Look("on2", super::ON_STEPS[2]),
        Look("on3", super::ON_STEPS[3]),
        Look("on4", super::ON_STEPS[4]),
    ];
    LOOKS[usize::from(step.min(4))]
}
