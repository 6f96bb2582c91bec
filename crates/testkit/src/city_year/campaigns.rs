//! What was asked in the year: five campaigns, as an editor would write them down.

use std::path::{Path, PathBuf};

/// A campaign of the demonstration.
pub(super) struct Campaign {
    pub(super) id: &'static str,
    pub(super) title: [&'static str; 2],
    /// Its digits: of the question, and of the vote.
    pub(super) digits: (u8, u8),
    /// The id of its question that is answered in words; no two campaigns may have the same.
    pub(super) question: &'static str,
    /// Its question, answered in words, in Danish and in English.
    pub(super) asks: [&'static str; 2],
    /// Its vote: the question's id, its text, and the options with their digits.
    pub(super) vote: Option<Vote>,
    /// The days between which people answer, counted from a year ago.
    pub(super) days: (i64, i64),
}

/// A vote of a campaign.
pub(super) struct Vote {
    pub(super) id: &'static str,
    pub(super) asks: [&'static str; 2],
    pub(super) options: &'static [(u8, &'static str, [&'static str; 2])],
}

pub(super) const CAMPAIGNS: [Campaign; 5] = [
    Campaign {
        id: "square",
        question: "square-ideas",
        title: ["Torvet ved Rundhøj", "The square at Rundhøj"],
        digits: (1, 2),
        asks: [
            "Hvad skal der ske på torvet?",
            "What should happen on the square?",
        ],
        vote: Some(Vote {
            id: "first",
            asks: [
                "Hvad skal vi begynde med på torvet?",
                "What shall we begin with on the square?",
            ],
            options: &[
                (2, "benches", ["Flere bænke", "More benches"]),
                (3, "trees", ["Træer og blomster", "Trees and flowers"]),
                (4, "light", ["Lys langs stien", "Light along the path"]),
            ],
        }),
        days: (0, 120),
    },
    Campaign {
        id: "traffic",
        question: "traffic-ideas",
        title: ["Trafik i kvarteret", "Traffic in the neighbourhood"],
        digits: (3, 0),
        asks: [
            "Hvordan kommer du sikkert frem?",
            "How do you get around safely?",
        ],
        vote: None,
        days: (60, 240),
    },
    Campaign {
        id: "library",
        question: "library-ideas",
        title: ["Biblioteket efter os", "The library we want"],
        digits: (4, 5),
        asks: [
            "Hvad ønsker du dig af biblioteket?",
            "What do you wish for from the library?",
        ],
        vote: Some(Vote {
            id: "evening",
            asks: [
                "Hvilken aften skal biblioteket have åbent?",
                "On which evening should the library be open?",
            ],
            options: &[
                (2, "monday", ["Mandag", "Monday"]),
                (3, "wednesday", ["Onsdag", "Wednesday"]),
                (4, "thursday", ["Torsdag", "Thursday"]),
            ],
        }),
        days: (120, 300),
    },
    Campaign {
        id: "harbour",
        question: "harbour-ideas",
        title: ["Den nye havn", "The new harbour"],
        digits: (6, 0),
        asks: [
            "Hvad mangler der ved havnen?",
            "What is missing at the harbour?",
        ],
        vote: None,
        days: (200, 364),
    },
    Campaign {
        id: "neighbours",
        question: "neighbours-ideas",
        title: ["Naboer", "Neighbours"],
        digits: (7, 0),
        asks: [
            "Hvad gør et godt naboskab?",
            "What makes a good neighbourhood?",
        ],
        vote: None,
        days: (0, 364),
    },
];

impl Campaign {
    /// Its file.
    pub(super) fn write(&self, folder: &Path) -> Result<PathBuf, String> {
        let [title, _] = self.title;
        let (digit, votes_digit) = self.digits;
        let [da, en] = self.asks;
        let mut text = format!(
            "id = {:?}\ntitle = {title:?}\nbooths = \"all\"\nlanguage = \"da\"\nlanguages = {{ 9 = \"en\" }}\n\n\
             [[question]]\nid = {:?}\ndigit = {digit}\nkind = \"speak\"\npublish = \"ask_voice\"\ntext.da = {da:?}\ntext.en = {en:?}\n",
            self.id, self.question
        );
        if let Some(Vote { id, asks, options }) = &self.vote {
            let [da, en] = asks;
            text += &format!(
                "\n[[question]]\nid = {id:?}\ndigit = {votes_digit}\nkind = \"choose\"\ntext.da = {da:?}\ntext.en = {en:?}\n"
            );
            for (digit, id, [da, en]) in *options {
                text += &format!(
                    "[[question.option]]\ndigit = {digit}\nid = {id:?}\ntext.da = {da:?}\ntext.en = {en:?}\n"
                );
            }
        }
        let path = folder.join(format!("{}.toml", self.id));
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }
}
