//! A campaign's file as a form: each key is a field, and what a person writes in the file itself stays where it is.
//!
//! Owns: the names of the fields, and the way from a field to its place in the file and back. Pure. Never does: judge a value; the check of
//! the file does, and names the line, from which the field is found again. Remarks and keys that the form does not know stay in the file.
//!
//! Fields: `title`, `languages`, `limits.max_seconds`, `q.0.text.da`, `q.0.o.1.digit`, `q.0.answer.sound.da`, `prompt.notice.text.da`.

use std::collections::BTreeMap;

use crate::sentence;
use crate::words::Sentence;
use toml::de::{DeTable, DeValue};
use toml_edit::{
    Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value, value,
};

/// Most questions, and most options of one, that a form may have.
const MOST_QUESTIONS: usize = 30;
const MOST_OPTIONS: usize = 8;

/// A file that is being edited.
#[derive(Debug, Clone)]
pub(crate) struct Sheet(DocumentMut);

/// What a press on a button of the form does besides keeping what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Turn {
    /// A question of this kind (`speak`, `choose`) comes last.
    AddQuestion(String),
    /// This question goes.
    RemoveQuestion(usize),
    /// This question changes places with the one before it.
    RaiseQuestion(usize),
    /// An option comes last.
    AddOption(usize),
    /// This option of this question goes.
    RemoveOption(usize, usize),
    /// "You said, we did" of this question is spoken at the booth.
    AddAnswer(usize),
    /// It is not any more.
    RemoveAnswer(usize),
    /// Another prompt of the booth is said differently.
    AddPrompt(String),
    /// It is said as the booth says it.
    RemovePrompt(String),
}

impl Turn {
    /// Reads the value of a button.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let verb = parts.next()?;
        let word = parts.next();
        let number = word.and_then(|word| word.parse().ok());
        let second = parts.next().and_then(|word| word.parse().ok());
        Some(match verb {
            "add-question" => Self::AddQuestion(word?.to_owned()),
            "remove-question" => Self::RemoveQuestion(number?),
            "raise-question" => Self::RaiseQuestion(number?),
            "add-option" => Self::AddOption(number?),
            "remove-option" => Self::RemoveOption(number?, second?),
            "add-answer" => Self::AddAnswer(number?),
            "remove-answer" => Self::RemoveAnswer(number?),
            "add-prompt" => Self::AddPrompt(word?.to_owned()),
            "remove-prompt" => Self::RemovePrompt(word?.to_owned()),
            _ => return None,
        })
    }
}

impl Sheet {
    /// Reads a file.
    ///
    /// # Errors
    /// It is no TOML: the form cannot show it, and the sentence says where.
    pub(crate) fn read(toml: &str) -> Result<Self, String> {
        toml.parse()
            .map(Self)
            .map_err(|error: toml_edit::TomlError| error.to_string())
    }

    /// The same for whoever cannot go on without it.
    ///
    /// # Errors
    /// It is no TOML.
    pub(crate) fn opened(toml: &str) -> Result<Self, Sentence> {
        Self::read(toml).map_err(|why| sentence!("editor-unread", why = why))
    }

    /// A campaign that nobody has written anything into yet.
    pub(crate) fn new(id: &str, title: &str, language: &str, first_question: &str) -> Self {
        let mut sheet = Self(DocumentMut::new());
        sheet.set("id", id);
        sheet.set("title", title);
        sheet.set("booths", "all");
        sheet.set("language", language);
        sheet.turn(&Turn::AddQuestion("speak".into()));
        sheet.set("q.0.id", "question-1");
        sheet.set(&format!("q.0.text.{language}"), first_question);
        sheet
    }

    /// The file.
    pub(crate) fn text(&self) -> String {
        self.0.to_string()
    }

    /// What a field shows; empty where nothing is written.
    pub(crate) fn get(&self, field: &str) -> String {
        let Some((table, key)) = self.place(field) else {
            return String::new();
        };
        let Some(item) = table.get(key) else {
            return String::new();
        };
        match key {
            "languages" => languages_text(item),
            "hours" => hours_text(item),
            _ => plain(item),
        }
    }

    /// Writes a field; an empty text takes its key out.
    pub(crate) fn set(&mut self, field: &str, text: &str) {
        let text = text.trim();
        if self.get(field) == text {
            return;
        }
        let Some((table, key)) = self.place_mut(field, !text.is_empty()) else {
            return;
        };
        if text.is_empty() {
            table.remove(key);
            return;
        }
        let new = match key {
            "digit" | "max_seconds" | "min_pause_s" | "choose_seconds" | "silence_seconds" => {
                match text.parse::<i64>() {
                    Ok(number) => value(number),
                    Err(_) => value(text),
                }
            }
            "booths" => booths_of(text),
            "codes" => value(text == "true"),
            "languages" => languages_of(text),
            "hours" => hours_of(text),
            _ => value(text),
        };
        match table.get_mut(key) {
            // What stands behind a value stays behind it.
            Some(item) => match (item.as_value_mut(), new.as_value()) {
                (Some(old), Some(new)) => {
                    let decor = old.decor().clone();
                    *old = new.clone();
                    *old.decor_mut() = decor;
                }
                _ => *item = new,
            },
            None => {
                table.insert(key, new);
            }
        }
    }

    /// Does what a button says; nothing where there is nothing to do it with.
    pub(crate) fn turn(&mut self, turn: &Turn) {
        match turn {
            Turn::AddQuestion(kind) => self.add_question(kind),
            Turn::RemoveQuestion(n) => {
                if let Some(questions) = self.tables_mut().filter(|all| *n < all.len()) {
                    questions.remove(*n);
                }
            }
            Turn::RaiseQuestion(n) => self.raise(*n),
            Turn::AddOption(n) => {
                let Some(question) = self.question_mut(*n) else {
                    return;
                };
                let known = question.get("option").and_then(Item::as_array_of_tables);
                let known = known.map_or(0, ArrayOfTables::len);
                if known >= MOST_OPTIONS {
                    return;
                }
                let taken = digits_of(question);
                let mut option = Table::new();
                if let Some(digit) = (2..=9).find(|digit| !taken.contains(digit)) {
                    option.insert("digit", value(digit));
                }
                option.insert("id", value(format!("option-{}", known + 1)));
                let options = question
                    .entry("option")
                    .or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
                if let Some(options) = options.as_array_of_tables_mut() {
                    options.push(option);
                }
            }
            Turn::RemoveOption(n, o) => {
                let options = self
                    .question_mut(*n)
                    .and_then(|question| question.get_mut("option"));
                let options = options.and_then(Item::as_array_of_tables_mut);
                if let Some(options) = options.filter(|all| *o < all.len()) {
                    options.remove(*o);
                }
            }
            Turn::AddAnswer(n) => {
                let digit = self.free_digit();
                if let Some(question) = self.question_mut(*n)
                    && !question.contains_key("answer")
                {
                    let mut answer = Table::new();
                    if let Some(digit) = digit {
                        answer.insert("digit", value(digit));
                    }
                    question.insert("answer", Item::Table(answer));
                }
            }
            Turn::RemoveAnswer(n) => {
                if let Some(question) = self.question_mut(*n) {
                    question.remove("answer");
                }
            }
            Turn::AddPrompt(name) => {
                let prompts = self.0.entry("prompt").or_insert_with(|| {
                    let mut prompts = Table::new();
                    prompts.set_implicit(true);
                    Item::Table(prompts)
                });
                if let Some(prompts) = prompts.as_table_mut()
                    && !prompts.contains_key(name)
                {
                    prompts.insert(name, Item::Table(Table::new()));
                }
            }
            Turn::RemovePrompt(name) => {
                if let Some(prompts) = self.0.get_mut("prompt").and_then(Item::as_table_like_mut) {
                    prompts.remove(name);
                }
            }
        }
    }

    fn add_question(&mut self, kind: &str) {
        let number = self.questions();
        if number >= MOST_QUESTIONS {
            return;
        }
        let digit = self.free_digit();
        let mut question = Table::new();
        question.insert("id", value(self.free_id("question")));
        if let Some(digit) = digit {
            question.insert("digit", value(digit));
        }
        question.insert("kind", value(kind));
        if kind == "speak" {
            question.insert("publish", value("ask_text"));
        }
        let questions = self
            .0
            .entry("question")
            .or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        if let Some(questions) = questions.as_array_of_tables_mut() {
            questions.push(question);
        }
        if kind == "choose" {
            self.turn(&Turn::AddOption(number));
            self.turn(&Turn::AddOption(number));
        }
    }

    fn raise(&mut self, n: usize) {
        let Some(questions) = self.tables_mut() else {
            return;
        };
        let Some(before) = n.checked_sub(1).filter(|_| n < questions.len()) else {
            return;
        };
        // A table is written where it stood when the file was read, so that the two change their places there, too.
        let mut all: Vec<Table> = questions.iter().cloned().collect();
        all.swap(before, n);
        *questions = ArrayOfTables::new();
        for mut table in all {
            forget_places(&mut table);
            questions.push(table);
        }
    }

    /// How many questions there are.
    pub(crate) fn questions(&self) -> usize {
        let questions = self.0.get("question").and_then(Item::as_array_of_tables);
        questions.map_or(0, ArrayOfTables::len)
    }

    /// How many options a question has.
    pub(crate) fn options(&self, question: usize) -> usize {
        let questions = self.0.get("question").and_then(Item::as_array_of_tables);
        let question = questions.and_then(|all| all.get(question));
        let options = question
            .and_then(|question| question.get("option"))
            .and_then(Item::as_array_of_tables);
        options.map_or(0, ArrayOfTables::len)
    }

    /// Whether a question has an answer that is spoken.
    pub(crate) fn has_answer(&self, question: usize) -> bool {
        let questions = self.0.get("question").and_then(Item::as_array_of_tables);
        questions
            .and_then(|all| all.get(question))
            .is_some_and(|question| question.contains_key("answer"))
    }

    /// The prompts that are said differently, by name.
    pub(crate) fn prompts(&self) -> Vec<String> {
        let prompts = self.0.get("prompt").and_then(Item::as_table_like);
        let names = prompts.into_iter().flat_map(TableLike::iter);
        names.map(|(name, _)| name.to_owned()).collect()
    }

    /// The number of the question with this id.
    pub(crate) fn question_of(&self, id: &str) -> Option<usize> {
        (0..self.questions()).find(|n| self.get(&format!("q.{n}.id")) == id)
    }

    /// The languages in which everything has to be said, the first one first.
    pub(crate) fn languages(&self) -> Vec<String> {
        let first = self.get("language");
        let mut all = vec![if first.is_empty() { "da".into() } else { first }];
        let others = self.0.get("languages").and_then(Item::as_table_like);
        for (_, item) in others.into_iter().flat_map(TableLike::iter) {
            let language = plain(item);
            if !language.is_empty() && !all.contains(&language) {
                all.push(language);
            }
        }
        all
    }

    /// Where digits go: a digit that no question, answer or language has.
    pub(crate) fn free_digit(&self) -> Option<i64> {
        let mut taken: Vec<i64> = Vec::new();
        for n in 0..self.questions() {
            for field in [format!("q.{n}.digit"), format!("q.{n}.answer.digit")] {
                taken.extend(self.get(&field).parse::<i64>());
            }
        }
        let others = self.0.get("languages").and_then(Item::as_table_like);
        let others = others.into_iter().flat_map(TableLike::iter);
        taken.extend(others.filter_map(|(digit, _)| digit.parse::<i64>().ok()));
        (1..=9).find(|digit| !taken.contains(digit))
    }

    fn free_id(&self, word: &str) -> String {
        let is_free = |id: &String| self.question_of(id).is_none();
        let ids = (1..).map(|n| format!("{word}-{n}"));
        ids.into_iter().find(is_free).unwrap_or_default()
    }

    fn tables_mut(&mut self) -> Option<&mut ArrayOfTables> {
        self.0.get_mut("question")?.as_array_of_tables_mut()
    }

    fn question_mut(&mut self, n: usize) -> Option<&mut Table> {
        self.tables_mut()?.get_mut(n)
    }

    /// The table in which a field stands, and its key there.
    fn place<'f>(&self, field: &'f str) -> Option<(&dyn TableLike, &'f str)> {
        let (above, key) = field.rsplit_once('.').unwrap_or(("", field));
        let mut table: &dyn TableLike = self.0.as_table();
        let mut parts = above.split('.').filter(|part| !part.is_empty());
        while let Some(part) = parts.next() {
            table = match part {
                "q" | "o" => {
                    let n: usize = parts.next()?.parse().ok()?;
                    let name = if part == "q" { "question" } else { "option" };
                    table.get(name)?.as_array_of_tables()?.get(n)?
                }
                name => table.get(name)?.as_table_like()?,
            };
        }
        Some((table, key))
    }

    /// The same to write there; `makes` the tables between that are missing, but never a question or an option.
    fn place_mut<'f>(
        &mut self,
        field: &'f str,
        makes: bool,
    ) -> Option<(&mut dyn TableLike, &'f str)> {
        let (above, key) = field.rsplit_once('.').unwrap_or(("", field));
        let mut table: &mut dyn TableLike = self.0.as_table_mut();
        let mut parts = above.split('.').filter(|part| !part.is_empty());
        while let Some(part) = parts.next() {
            table = match part {
                "q" | "o" => {
                    let n: usize = parts.next()?.parse().ok()?;
                    let name = if part == "q" { "question" } else { "option" };
                    table.get_mut(name)?.as_array_of_tables_mut()?.get_mut(n)?
                }
                name => {
                    if !table.contains_key(name) {
                        if !makes {
                            return None;
                        }
                        let mut new = Table::new();
                        // `text.da = …` stands in a line of its own; [limits] and [prompt.notice] are headings.
                        new.set_dotted(matches!(name, "text" | "sound"));
                        new.set_implicit(name == "prompt");
                        table.insert(name, Item::Table(new));
                    }
                    table.get_mut(name)?.as_table_like_mut()?
                }
            };
        }
        Some((table, key))
    }
}

/// Lets a table be written where it comes in its list.
fn forget_places(table: &mut Table) {
    table.set_position(None);
    for (_, item) in table.iter_mut() {
        match item {
            Item::Table(inner) => forget_places(inner),
            Item::ArrayOfTables(all) => all.iter_mut().for_each(forget_places),
            _ => {}
        }
    }
}

fn digits_of(question: &Table) -> Vec<i64> {
    let options = question.get("option").and_then(Item::as_array_of_tables);
    let options = options.into_iter().flat_map(ArrayOfTables::iter);
    options
        .filter_map(|option| option.get("digit")?.as_integer())
        .collect()
}

/// A value as a person writes it into a field.
fn plain(item: &Item) -> String {
    match item.as_value() {
        Some(Value::String(text)) => text.value().clone(),
        Some(Value::Integer(number)) => number.value().to_string(),
        Some(Value::Float(number)) => number.value().to_string(),
        Some(Value::Boolean(is)) => is.value().to_string(),
        Some(Value::Datetime(moment)) => moment.value().to_string(),
        Some(Value::Array(entries)) => {
            let entries = entries
                .iter()
                .map(|entry| plain(&Item::Value(entry.clone())));
            entries.collect::<Vec<_>>().join(", ")
        }
        _ => String::new(),
    }
}

/// `8 = "en"` is `8 en`.
fn languages_text(item: &Item) -> String {
    let all = item.as_table_like().into_iter().flat_map(TableLike::iter);
    let all = all.map(|(digit, language)| format!("{digit} {}", plain(language)));
    all.collect::<Vec<_>>().join(", ")
}

fn languages_of(text: &str) -> Item {
    let mut table = InlineTable::new();
    for entry in text.split([',', ';', '\n']) {
        let (digit, language) = entry
            .trim()
            .split_once([' ', '='])
            .unwrap_or((entry.trim(), ""));
        if !digit.is_empty() {
            table.insert(digit.trim(), language.trim_matches([' ', '=', '"']).into());
        }
    }
    value(table)
}

/// `["mo-fr", "07:00", "21:00"]` is the line `mo-fr 07:00 21:00`.
fn hours_text(item: &Item) -> String {
    let spans = item.as_array().into_iter().flat_map(Array::iter);
    let spans = spans.map(|span| {
        let parts = span.as_array().into_iter().flat_map(Array::iter);
        let parts = parts.filter_map(Value::as_str);
        parts.collect::<Vec<_>>().join(" ")
    });
    spans.collect::<Vec<_>>().join("\n")
}

fn hours_of(text: &str) -> Item {
    let mut spans = Array::new();
    for line in text
        .split('\n')
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let parts = line.split(|c: char| c.is_whitespace() || c == '–');
        let parts = parts.filter(|part| !part.is_empty());
        spans.push(Value::Array(parts.collect::<Array>()));
    }
    value(spans)
}

fn booths_of(text: &str) -> Item {
    if text == "all" {
        return value("all");
    }
    let named = text
        .split([',', ' ', '\n'])
        .map(str::trim)
        .filter(|id| !id.is_empty());
    value(named.collect::<Array>())
}

/// The field of each line of a file. A line of a heading is that of the group: `q.0`, `q.0.o.1`, `prompt.notice`.
pub(crate) fn fields_by_line(toml: &str) -> BTreeMap<usize, String> {
    let mut lines = Lines {
        toml,
        found: BTreeMap::new(),
    };
    if let Ok(table) = DeTable::parse(toml) {
        lines.table(table.get_ref(), "");
    }
    lines.found
}

struct Lines<'a> {
    toml: &'a str,
    found: BTreeMap<usize, String>,
}

impl Lines<'_> {
    fn note(&mut self, at: usize, field: &str) {
        let before = &self.toml.as_bytes()[..at.min(self.toml.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        self.found.entry(line).or_insert_with(|| field.to_owned());
    }

    fn table(&mut self, table: &DeTable<'_>, above: &str) {
        for (key, inner) in table {
            let name: &str = key.get_ref();
            let at = inner.span().start;
            let field = |name: &str| match above {
                "" => name.to_owned(),
                above => format!("{above}.{name}"),
            };
            match (name, inner.get_ref()) {
                ("question" | "option", DeValue::Array(entries)) => {
                    let short = if name == "question" { "q" } else { "o" };
                    for (n, entry) in entries.iter().enumerate() {
                        let field = field(&format!("{short}.{n}"));
                        self.note(entry.span().start, &field);
                        if let Some(table) = entry.get_ref().as_table() {
                            self.table(table, &field);
                        }
                    }
                }
                ("text" | "sound" | "answer" | "limits" | "prompt", DeValue::Table(inner)) => {
                    self.table(inner, &field(name));
                    self.note(at, &field(name));
                }
                (_, DeValue::Table(inner)) if above == "prompt" => {
                    self.table(inner, &field(name));
                    self.note(key.span().start, &field(name));
                }
                _ => self.note(at, &field(name)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
