//! A question that is stopped: what citizens must not see of it meanwhile, and all of which is there again.

use super::*;
use crate::open::FILES;

const ASKED: &str = "Må vi nævne navne?";
const SAID: &str = "ordene om naboen";
const OF_OTHERS: &str = "ordene om bænken";

fn own_hash() -> MediaHash {
    MediaHash::parse(&"cd".repeat(32)).expect("a hash")
}

/// A town where two questions of a campaign were answered in words, each with a prompt of its own.
fn answered() -> Town {
    let town = town(0);
    {
        let mut have = town.centre.have();
        let asked = &mut have.campaigns[0].questions[0];
        asked.text = both(ASKED, "May we name names?");
        asked.prompt = [("da".to_owned(), own_hash())].into();
        have.prompts
            .insert(own_hash().to_string(), (0..=255).collect());
        have.sounds.insert("m1".into(), (0..=255).collect());
    }
    let row = |id: &str, campaign: &str, question: &str, words: &str| {
        format!(
            "('{id}','audio','booth','{campaign}','{question}','2026-06-01T10:00:00.000Z','2026-06-01',12,1,'2026-06-01T10:00:00.000Z',
              9000,0,'voice','published','{words}',1,0,'2026-06-02T10:00:00.000Z')"
        )
    };
    let rows = [
        row("m1", "square-2026", "square", SAID),
        row("m2", "harbour-2026", "harbour", OF_OTHERS),
    ];
    town.change(&format!(
        "INSERT INTO message (id, kind, source, campaign_id, question_id, said_at, day, hour, weekday, received_at, duration_ms, recovered,
           may_publish, state, transcript, with_voice, child, published_at) VALUES {};",
        rows.join(",")
    ));
    town
}

fn open_data(city: &City) -> String {
    let each = FILES.iter().map(|file| {
        let mut bytes = Vec::new();
        (file.write)(city, &mut bytes).expect("written");
        String::from_utf8(bytes).expect("text")
    });
    each.collect()
}

/// How many messages the city's numbers have.
async fn counted(town: &Town) -> u64 {
    let picture = town.city.picture().await.expect("a picture");
    picture.whole().messages.as_flattened().iter().sum()
}

/// Everything of the question that its own addresses show: the status of each.
async fn own_addresses(town: &Town) -> Vec<u16> {
    let mut all = Vec::new();
    for page in [
        "/da/question/square-2026/square".to_owned(),
        "/da/message/m1".to_owned(),
        format!("/prompt/{}.opus", own_hash()),
        "/chart/da/question.square-2026.square/weeks.svg".to_owned(),
        "/da/answer/square-2026/square".to_owned(),
    ] {
        all.push(town.get(&page).await.status.as_u16());
    }
    all
}

#[tokio::test]
async fn a_stopped_question_is_on_no_page_with_nothing_that_was_said_to_it_and_comes_back_whole() {
    let town = answered();
    let shown = own_addresses(&town).await;
    assert_eq!(counted(&town).await, 2);
    assert!(open_data(&town.city).contains(SAID));

    let stopped = [("square-2026".to_owned(), ["square".to_owned()].into())];
    town.centre.have().stopped.0 = stopped.into();
    town.city.look_again();
    for page in [
        "/da/",
        "/da/messages",
        "/da/messages?campaign=square-2026&question=square",
        "/da/campaign/square-2026",
        "/feed/square-2026.atom",
        "/da/kiosk",
        "/da/kiosk?slide=2",
        "/da/print/square-2026",
        "/da/data",
    ] {
        let answer = town.get(page).await;
        assert_eq!(answer.status, StatusCode::OK, "{page}");
        let html = answer.text();
        assert!(
            !html.contains(SAID) && !html.contains(ASKED),
            "{page}: {html}"
        );
    }
    let hidden = own_addresses(&town).await;
    assert_eq!(hidden, [404, 404, 404, 404, 410], "before: {shown:?}");
    let answer = town.get("/en/answer/square-2026/square").await.text();
    assert!(answer.contains("was stopped by the city"), "{answer}");
    // Others are as before, also another question of the same campaign.
    assert!(town.get("/da/messages").await.text().contains(OF_OTHERS));
    let vote = town.get("/da/question/square-2026/colour").await;
    assert_eq!(vote.status, StatusCode::OK);
    assert_eq!(counted(&town).await, 1);
    let files = open_data(&town.city);
    assert!(!files.contains(SAID) && files.contains(OF_OTHERS));

    town.centre.have().stopped.0.clear();
    town.city.look_again();
    assert_eq!(own_addresses(&town).await, shown);
    assert!(town.get("/da/messages").await.text().contains(SAID));
    assert!(open_data(&town.city).contains(SAID));
}

#[tokio::test]
async fn a_stopped_vote_is_not_in_the_open_data_and_a_campaign_that_is_over_keeps_its_stop() {
    let town = answered();
    assert!(open_data(&town.city).contains("square-2026,colour,2"));
    let both = ["square".to_owned(), "colour".to_owned()];
    let stopped = [("square-2026".to_owned(), both.into())];
    town.centre.have().stopped.0 = stopped.into();
    assert!(!open_data(&town.city).contains("square-2026,colour"));
    // The booths no longer have it; its messages stay where they are, and hidden.
    town.centre.have().campaigns.remove(0);
    town.city.look_again();
    assert_eq!(
        town.get("/da/message/m1").await.status,
        StatusCode::NOT_FOUND
    );
    assert!(!town.get("/da/messages").await.text().contains(SAID));
}

#[test]
fn the_counts_of_the_open_data_leave_a_stopped_question_out() {
    let town = answered();
    town.change(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6)
         INSERT INTO gone (id, at, was_published, campaign_id, question_id, source, area_id, day, kind)
           SELECT question || i, '2026-06-02T10:00:00.000Z', 0, 'square-2026', question, 'booth', 'centre', '2026-06-01', 'audio'
             FROM n, (SELECT 'square' AS question UNION SELECT 'colour');",
    );
    let counts = || {
        let mut bytes = Vec::new();
        let file = FILES
            .iter()
            .find(|file| file.name == "counts_by_area_day.csv");
        (file.expect("a file").write)(&town.city, &mut bytes).expect("written");
        String::from_utf8(bytes).expect("text")
    };
    let of_both = counts();
    assert!(
        of_both.contains("square-2026,centre,2026-06-01,10"),
        "{of_both}"
    );
    let stopped = [("square-2026".to_owned(), ["square".to_owned()].into())];
    town.centre.have().stopped.0 = stopped.into();
    let of_one = counts();
    assert!(
        of_one.contains("square-2026,centre,2026-06-01,5"),
        "{of_one}"
    );
}
