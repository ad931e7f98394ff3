use clap::Parser;

use super::*;
use crate::clock::{Span, Timestamp};
use crate::codec::files::replay::{OutcomeChoice, Times};
use crate::model::Columns;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: ReplayArgs,
}

fn parse(flags: &[&str]) -> Result<ReplayArgs, clap::Error> {
    let usual = ["replay", "loans.csv", "--model", "car_loan"];
    Line::try_parse_from(usual.iter().chain(flags)).map(|line| line.args)
}

#[test]
fn flags_go_before_the_columns_of_the_model() {
    let configured = Columns { time: "timestamp".into(), ignore: vec!["year".into()], ..Columns::default() };
    let args = parse(&["--id-column", "loan", "--version-column", "v", "--ignore-column", "a", "--ignore-column", "b"]);
    let columns = args.unwrap().columns(&configured);
    assert_eq!((columns.id.as_str(), columns.time.as_str()), ("loan", "timestamp"));
    assert_eq!(columns.version.as_deref(), Some("v"));
    assert_eq!(columns.ignore, ["year", "a", "b"]);
}

#[test]
fn flags_become_options() {
    let args = parse(&["--outcome-delay", "14d", "--from", "2019-03-31", "--limit", "5", "--speed", "86400"]).unwrap();
    let options = args.options();
    assert_eq!(options.outcome_delay, Span::from_days(14));
    assert_eq!(options.from, Some("2019-03-31T00:00:00Z".parse::<Timestamp>().unwrap()));
    assert_eq!((options.limit, options.outcomes, options.times), (Some(5), OutcomeChoice::IfPresent, Times::Column));
    assert_eq!(args.pace(), Pace::Speed(86_400.0));

    assert_eq!(parse(&["--no-outcomes"]).unwrap().options().outcomes, OutcomeChoice::None);
    assert_eq!(parse(&["--outcome-column", "y"]).unwrap().options().outcomes, OutcomeChoice::Required);
    assert!(matches!(
        parse(&["--start", "2016-01-01", "--interval", "1m"]).unwrap().options().times,
        Times::Spread { .. }
    ));
}

#[test]
fn flags_that_contradict_each_other_or_mean_nothing_are_refused() {
    for flags in [
        &["--no-outcomes", "--outcomes", "o.csv"][..],
        &["--start", "2016-01-01"],
        &["--speed", "0"],
        &["--speed", "fast"],
        &["--from", "yesterday"],
        &["--outcome-delay", "-1d"],
    ] {
        assert!(parse(flags).is_err(), "{flags:?}");
    }
}

#[test]
fn an_unknown_model_is_answered_with_the_known_ones() {
    let known = Model::new("car_loan", crate::model::Task::Binary, crate::model::ReferenceSource::First(1));
    let error = find_model("carloan", std::slice::from_ref(&known)).unwrap_err().to_string();
    assert_eq!(error, "the configuration has no model 'carloan'; its models are: car_loan");
}
