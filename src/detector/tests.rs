//! What all detectors have in common.

use proptest::prelude::*;

use super::{
    AdwinSettings, CusumSettings, DdmSettings, DetectorKind, DetectorSettings, EddmSettings, HddmASettings,
    HddmWSettings, InputDomain, KswinSettings, PageHinkleySettings, PanePoint, Signal, SplitMix64, over_panes,
};
use crate::clock::Timestamp;

/// Settings that decide early and often, so that short series reach every branch.
fn eager(kind: DetectorKind) -> DetectorSettings {
    match kind {
        DetectorKind::Adwin => DetectorSettings::Adwin(AdwinSettings {
            delta: 0.9,
            clock: 1,
            max_buckets: 1,
            min_window_length: 1,
            grace_period: 0,
        }),
        DetectorKind::PageHinkley => DetectorSettings::PageHinkley(PageHinkleySettings {
            min_instances: 0,
            threshold: 0.1,
            ..Default::default()
        }),
        DetectorKind::Ddm => {
            DetectorSettings::Ddm(DdmSettings { warm_start: 5, warning_threshold: 0.5, drift_threshold: 2.0 })
        }
        DetectorKind::Eddm => DetectorSettings::Eddm(EddmSettings { warm_start: 0, ..Default::default() }),
        DetectorKind::HddmA => DetectorSettings::HddmA(HddmASettings {
            drift_confidence: 0.3,
            warning_confidence: 0.9,
            two_sided_test: true,
        }),
        DetectorKind::HddmW => DetectorSettings::HddmW(HddmWSettings {
            drift_confidence: 0.3,
            warning_confidence: 0.9,
            lambda_val: 0.05,
            two_sided_test: true,
        }),
        DetectorKind::Kswin => {
            DetectorSettings::Kswin(KswinSettings { alpha: 0.5, window_size: 12, stat_size: 5, seed: 1 })
        }
        DetectorKind::Cusum => {
            DetectorSettings::Cusum(CusumSettings { warm_up: 2, allowance: 0.1, decision_interval: 0.5 })
        }
    }
}

fn signals(settings: &DetectorSettings, values: &[f64]) -> Vec<Signal> {
    let mut detector = settings.build().unwrap();
    values.iter().map(|value| detector.update(*value)).collect()
}

/// Ordinary numbers, errors, ties, the largest and smallest, and what is no number.
fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -3.0..3.0,
        4 => prop_oneof![Just(0.0), Just(1.0), Just(-0.0), Just(2.0)],
        1 => any::<f64>(),
        1 => prop_oneof![
            Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(1e308), Just(-1e308), Just(5e-324)
        ],
    ]
}

#[test]
fn every_name_reads_back_and_is_the_kind_in_json() {
    for kind in DetectorKind::ALL {
        assert_eq!(Ok(kind), kind.to_string().parse());
        let settings = DetectorSettings::from(kind);
        assert_eq!(kind, settings.kind());
        assert_eq!(Ok(()), settings.validate());
        let json = serde_json::to_value(settings).unwrap();
        assert_eq!(kind.name(), json["kind"]);
        assert_eq!(settings, serde_json::from_value(json).unwrap());
        let named: DetectorSettings = serde_json::from_value(serde_json::json!({ "kind": kind.name() })).unwrap();
        assert_eq!(settings, named, "what is not written has its default");
    }
    assert_eq!(Err(()), "cumsum".parse::<DetectorKind>());
}

#[test]
fn a_misspelt_setting_is_refused() {
    for kind in DetectorKind::ALL {
        let json = serde_json::json!({ "kind": kind.name(), "detla": 0.1 });
        assert!(serde_json::from_value::<DetectorSettings>(json).is_err(), "{kind}");
    }
}

#[test]
fn settings_outside_their_domain_are_refused_by_name() {
    let cases = [
        (r#"{"kind":"adwin","delta":0}"#, "delta must be above 0 and below 1"),
        (r#"{"kind":"adwin","delta":1}"#, "delta must be above 0 and below 1"),
        (r#"{"kind":"adwin","clock":0}"#, "clock must be at least 1"),
        (r#"{"kind":"adwin","max_buckets":0}"#, "max_buckets must be from 1 to 1024"),
        (r#"{"kind":"adwin","min_window_length":0}"#, "min_window_length must be at least 1"),
        (r#"{"kind":"page_hinkley","delta":-1}"#, "delta must be a number of at least 0"),
        (r#"{"kind":"page_hinkley","threshold":0}"#, "threshold must be a number above 0"),
        (r#"{"kind":"page_hinkley","alpha":1.1}"#, "alpha must be above 0 and at most 1"),
        (r#"{"kind":"ddm","warning_threshold":0}"#, "warning_threshold must be a number above 0"),
        (r#"{"kind":"ddm","drift_threshold":1}"#, "drift_threshold must be a number of at least warning_threshold"),
        (r#"{"kind":"eddm","alpha":0}"#, "alpha must be above 0 and at most 1"),
        (r#"{"kind":"eddm","beta":0.96}"#, "beta must be above 0 and at most alpha"),
        (r#"{"kind":"hddm_a","drift_confidence":0}"#, "drift_confidence must be above 0 and below 1"),
        (
            r#"{"kind":"hddm_a","warning_confidence":0.0001}"#,
            "warning_confidence must be at least drift_confidence and below 1",
        ),
        (r#"{"kind":"hddm_w","drift_confidence":1}"#, "drift_confidence must be above 0 and below 1"),
        (
            r#"{"kind":"hddm_w","warning_confidence":1}"#,
            "warning_confidence must be at least drift_confidence and below 1",
        ),
        (r#"{"kind":"hddm_w","lambda_val":1}"#, "lambda_val must be above 0 and below 1"),
        (r#"{"kind":"kswin","alpha":0}"#, "alpha must be above 0 and below 1"),
        (r#"{"kind":"kswin","stat_size":0}"#, "stat_size must be from 1 to 10000"),
        (r#"{"kind":"kswin","window_size":59}"#, "window_size must be from twice stat_size to 100000"),
        (r#"{"kind":"cusum","warm_up":1}"#, "warm_up must be at least 2"),
        (r#"{"kind":"cusum","allowance":-1}"#, "allowance must be a number of at least 0"),
        (r#"{"kind":"cusum","decision_interval":0}"#, "decision_interval must be a number above 0"),
    ];
    for (json, wanted) in cases {
        let settings: DetectorSettings = serde_json::from_str(json).unwrap();
        assert_eq!(wanted, settings.build().unwrap_err().to_string(), "{json}");
        assert_eq!(settings.validate(), over_panes(&settings, &[]).map(drop), "{json}");
    }
}

#[test]
fn a_constant_series_is_stable_however_long() {
    for kind in DetectorKind::ALL {
        for value in [0.0_f64, 1.0, 0.1, -7.25, 1e300] {
            if value.abs() > 1.0 && kind.domain() == InputDomain::UnitInterval {
                continue; // out of scale, where HDDM's bounds say nothing
            }
            let found = signals(&kind.into(), &vec![value; 3_000]);
            assert!(found.iter().all(|signal| *signal == Signal::Stable), "{kind} of {value}");
        }
    }
}

#[test]
fn the_eager_settings_reach_drift_and_warning() {
    let mut generator = SplitMix64::new(31);
    let values: Vec<f64> = (0..2_000).map(|_| f64::from(generator.next_below(2))).collect();
    for kind in DetectorKind::ALL {
        let found = signals(&eager(kind), &values);
        assert!(found.contains(&Signal::Drift), "{kind}");
        let warns = matches!(kind, DetectorKind::Ddm | DetectorKind::Eddm | DetectorKind::HddmA | DetectorKind::HddmW);
        assert_eq!(warns, found.contains(&Signal::Warning), "{kind}");
    }
}

proptest! {
    #[test]
    fn no_series_makes_a_detector_panic_and_ignored_values_leave_no_trace(
        values in prop::collection::vec(any_value(), 0..300),
    ) {
        let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        for kind in DetectorKind::ALL {
            for settings in [eager(kind), kind.into()] {
                let found = signals(&settings, &values);
                let of_finite = values.iter().zip(&found).filter(|(value, _)| value.is_finite());
                let of_finite: Vec<Signal> = of_finite.map(|(_, signal)| *signal).collect();
                prop_assert_eq!(of_finite, signals(&settings, &finite), "{}", kind);
                let of_others = values.iter().zip(&found).filter(|(value, _)| !value.is_finite());
                prop_assert!(of_others.map(|(_, signal)| signal).all(|signal| *signal == Signal::Stable));
            }
        }
    }

    #[test]
    fn no_sum_overflows_into_nan(values in prop::collection::vec(any_value(), 0..300)) {
        for kind in DetectorKind::ALL {
            for settings in [eager(kind), kind.into()] {
                let mut detector = settings.build().unwrap();
                for value in &values {
                    detector.update(*value);
                }
                let state = format!("{detector:?}");
                prop_assert!(!state.contains("NaN"), "{}: {}", kind, state);
            }
        }
    }

    #[test]
    fn after_a_drift_or_a_reset_the_series_starts_anew(
        values in prop::collection::vec(any_value(), 0..300),
        cut in 0_usize..300,
    ) {
        for kind in DetectorKind::ALL {
            let settings = eager(kind);
            let found = signals(&settings, &values);
            if let Some(drift) = found.iter().position(|signal| *signal == Signal::Drift) {
                let rest = signals(&settings, &values[drift + 1..]);
                prop_assert_eq!(&found[drift + 1..], rest.as_slice(), "{}", kind);
            }
            let cut = cut.min(values.len());
            let mut detector = settings.build().unwrap();
            for value in &values[..cut] {
                detector.update(*value);
            }
            detector.reset();
            let rest: Vec<Signal> = values[cut..].iter().map(|value| detector.update(*value)).collect();
            prop_assert_eq!(rest, signals(&settings, &values[cut..]), "{}", kind);
        }
    }

    #[test]
    fn any_panes_in_any_order_give_the_same_detections(
        panes in prop::collection::vec((-50_i64..50, any_value(), prop_oneof![0_u64..60, any::<u64>()]), 0..40),
        turn in 0_usize..40,
    ) {
        let panes: Vec<PanePoint> = panes
            .into_iter()
            .map(|(start, mean, count)| PanePoint { start: Timestamp::from_millis(start), mean, count })
            .collect();
        let mut turned = panes.clone();
        turned.rotate_left(turn.min(panes.len()));
        turned.reverse();
        for kind in DetectorKind::ALL {
            prop_assert_eq!(over_panes(&eager(kind), &panes), over_panes(&eager(kind), &turned), "{}", kind);
        }
    }
}
