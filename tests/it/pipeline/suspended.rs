//! Processes that stand still between their write and their publication, and go on when others have their partitions.

use plimsoll::clock::Span;

use super::theater::Crash;
use super::undisturbed;
use super::{assert_balanced, assert_matches_truth, assert_same, known_reference, lasting, model, stream, theater};

const EVALUATE: usize = 2;

#[tokio::test]
async fn what_suspended_owners_say_last_does_not_stand_even_when_compaction_removes_the_newer() {
    let stream = stream::stream(11, 800);
    let mut calm = undisturbed(&stream).await;
    let mut theater = theater(&stream, model(), known_reference(&model())).await;
    let writers: Vec<_> = theater.places().into_iter().filter(|(role, _)| *role != EVALUATE).collect();
    let mut last_words = Vec::new();
    for round in 0..6 {
        for place in &writers {
            theater.read(place, 30 << round).await;
            if round == 1 {
                last_words.append(&mut theater.suspend(place).await);
            }
            theater.checkpoint(place, Crash::Never).await;
        }
    }
    for record in last_words {
        theater.publish(record);
    }
    theater.compact("plimsoll.panes");
    theater.finish().await;
    assert_ne!(lasting(&theater), lasting(&calm), "their words did no harm, so that this test shows nothing");

    for theater in [&mut theater, &mut calm] {
        theater.now = theater.now.plus(Span::from_mins(16));
        theater.finish().await;
    }
    let (expected, told) = (lasting(&calm), lasting(&theater));
    assert_eq!(expected.keys().collect::<Vec<_>>(), told.keys().collect::<Vec<_>>());
    for (key, window) in &expected {
        assert_same(window, &told[key], key);
    }
    assert_matches_truth(&theater, &stream.truth);
    assert_balanced(&theater, &stream.truth);
}
