use super::*;

const EXAMPLE: &str = include_str!("../../../../../docs/campaign.example.toml");

#[test]
fn what_a_form_does_not_change_stays_as_it_was_written() {
    let mut sheet = Sheet::read(EXAMPLE).expect("TOML");
    assert_eq!(sheet.text(), EXAMPLE);
    for field in [
        "id",
        "title",
        "from",
        "until",
        "booths",
        "language",
        "languages",
        "hours",
        "quiet",
        "limits.max_seconds",
        "q.0.id",
        "q.0.digit",
        "q.0.text.da",
        "q.1.o.1.text.en",
        "prompt.thanks.text.da",
    ] {
        let shown = sheet.get(field);
        assert!(!shown.is_empty(), "{field}");
        sheet.set(field, &shown);
    }
    assert_eq!(sheet.text(), EXAMPLE);
    assert_eq!(sheet.get("hours"), "mo-fr 07:00 21:00\nsa,su 09:00 20:00");
    assert_eq!(
        (
            sheet.get("languages").as_str(),
            sheet.get("booths").as_str()
        ),
        ("8 en", "all")
    );
    assert_eq!(sheet.languages(), ["da", "en"]);
    sheet.set("title", "Æ \"torv\" <b>");
    let line = sheet
        .text()
        .lines()
        .find(|line| line.starts_with("title"))
        .map(str::to_owned);
    assert_eq!(
        line.as_deref(),
        Some("title = 'Æ \"torv\" <b>'       # for you; no booth says it")
    );
}

#[test]
fn questions_options_answers_and_prompts_come_and_go() {
    let mut sheet = Sheet::new("torv-1", "Torvet", "da", "Hvad?");
    sheet.set("languages", "8 en");
    sheet.set("q.0.text.en", "What?");
    sheet.turn(&Turn::AddQuestion("choose".into()));
    sheet.set("q.1.text.da", "Vælg");
    sheet.set("q.1.o.0.text.da", "Ja");
    sheet.set("q.1.o.1.sound.da", "abc");
    sheet.turn(&Turn::AddOption(1));
    sheet.turn(&Turn::AddAnswer(0));
    sheet.set("q.0.answer.text.da", "I sagde det.");
    sheet.turn(&Turn::AddPrompt("thanks".into()));
    sheet.set("prompt.thanks.text.da", "Tak");
    sheet.set("limits.max_seconds", "60");
    sheet.set("booths", "a-1, b-2");
    sheet.set("hours", "mo-fr 07:00 21:00\n\n sa 09:00 20:00");
    let text = sheet.text();
    let table: toml::Table = text.parse().expect("TOML");
    let question = &table["question"][1];
    assert_eq!(question["option"][2]["digit"].as_integer(), Some(4));
    assert_eq!(question["option"][0]["text"]["da"].as_str(), Some("Ja"));
    assert_eq!(
        table["question"][0]["answer"]["digit"].as_integer(),
        Some(3)
    );
    assert_eq!(
        table["question"][0]["answer"]["text"]["da"].as_str(),
        Some("I sagde det.")
    );
    assert_eq!(
        table["prompt"]["thanks"]["text"]["da"].as_str(),
        Some("Tak")
    );
    assert_eq!(table["limits"]["max_seconds"].as_integer(), Some(60));
    assert_eq!(table["booths"][1].as_str(), Some("b-2"));
    assert_eq!(table["hours"][1][0].as_str(), Some("sa"));
    assert_eq!(table["languages"]["8"].as_str(), Some("en"));

    sheet.turn(&Turn::RaiseQuestion(1));
    assert_eq!(sheet.get("q.0.text.da"), "Vælg");
    assert_eq!(sheet.get("q.1.answer.text.da"), "I sagde det.");
    let again = Sheet::read(&sheet.text()).expect("TOML");
    assert_eq!(
        (again.questions(), again.options(0), again.has_answer(1)),
        (2, 3, true)
    );
    assert_eq!(again.get("q.0.text.da"), "Vælg");
    sheet.turn(&Turn::RemoveOption(0, 1));
    sheet.turn(&Turn::RemoveQuestion(1));
    sheet.turn(&Turn::RemovePrompt("thanks".into()));
    let again = Sheet::read(&sheet.text()).expect("TOML");
    assert_eq!(
        (again.questions(), again.options(0), again.prompts().len()),
        (1, 2, 0)
    );
    // What there is not cannot be written to, moved or taken out.
    sheet.set("q.7.text.da", "x");
    for turn in [
        "remove-question:9",
        "raise-question:0",
        "add-option:5",
        "remove-option:0:9",
        "add-answer:4",
    ] {
        sheet.turn(&Turn::of(turn).expect(turn));
    }
    assert_eq!(sheet.text(), again.text());
    for bad in [
        "",
        "x",
        "remove-question",
        "remove-question:a",
        "remove-option:1",
    ] {
        assert_eq!(Turn::of(bad), None, "{bad}");
    }
}

#[test]
fn every_field_is_found_again_by_its_line() {
    let by_line = fields_by_line(EXAMPLE);
    let lines: Vec<&str> = EXAMPLE.lines().collect();
    let sheet = Sheet::read(EXAMPLE).expect("TOML");
    for (line, field) in &by_line {
        let shown = sheet.get(field);
        let shown = shown
            .lines()
            .next()
            .unwrap_or_default()
            .split(' ')
            .next()
            .unwrap_or_default();
        assert!(
            lines[line - 1].contains(shown),
            "{field}: {}",
            lines[line - 1]
        );
    }
    let line = |field: &str| {
        by_line
            .iter()
            .find(|(_, own)| *own == field)
            .map(|(line, _)| lines[line - 1].trim())
    };
    assert_eq!(line("q.1.o.0.text.en"), Some("text.en = \"Green\""));
    assert_eq!(line("q.1"), Some("[[question]]"));
    assert_eq!(line("q.1.o.1"), Some("[[question.option]]"));
    assert_eq!(line("prompt.thanks"), Some("[prompt.thanks]"));
    assert_eq!(line("until").map(|line| &line[..7]), Some("until ="));
}
