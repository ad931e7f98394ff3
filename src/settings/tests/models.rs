//! What is wrong within one model.

use super::*;

#[test]
fn contradictions_within_a_model_are_errors() {
    let cases = [
        ("panes = \"1h\"\nwindows = [\"90m\"]", "model[0].windows[0]: '90m' is not a whole number of panes of 1h"),
        ("panes = \"1d\"\nwindows = [\"7d/12h\"]", "model[0].windows[0]: '7d/12h' is not a whole number"),
        ("panes = \"2h\"", "model[0].panes: the default window 1h is not a whole number of panes of 2h"),
        ("windows = [\"1d\", \"24h\"]", "model[0].windows[1]: repeats an earlier element"),
        ("windows = []", "model[0].windows: is empty"),
        ("windows = [\"28d\"]\nlabel_horizon = \"1d\"\nretention = \"28d\"", "model[0].retention: 28d is shorter than"),
        ("retention = \"30d\"", "model[0].retention: 30d is shorter than label_horizon 60d"),
        ("[model.features.x]\nmin = 2\nmax = 1", "model[0].features.x.min: 2 is above max 1"),
        ("[model.features.x]\ntype = \"categorical\"\nmin = 2", "model[0].features.x.min: is only for numeric"),
        ("segments = [\"x\"]\n[model.features.x]\ntype = \"numeric\"", "model[0].segments[0]: 'x' is numeric"),
        ("segments = [\"\"]", "model[0].segments[0]: must not be empty"),
        ("[model.drift]\npsi = 0", "model[0].drift.psi: 0 must be above 0"),
        ("[model.drift]\nreconstruction = 1", "model[0].drift.reconstruction: must be true or false"),
        ("[model.drift]\npca_reconstruction = 0", "model[0].drift.pca_reconstruction: 0 must be above 0"),
        (
            "[model.drift]\nreconstruction = false\npca_reconstruction = 0.2",
            "model[0].drift.pca_reconstruction: contradicts reconstruction = false",
        ),
        ("[model.drift]\nks = 1.5", "model[0].drift.ks: 1.5 can never be reached"),
        ("[model.performance]\nmin_coverage = 1.1", "model[0].performance.min_coverage: 1.1 must lie from 0 to 1"),
        ("[model.performance]\naccuracy = 0.02", "model[0].performance.accuracy: must be a table"),
        (
            "[model.fairness]\nattributes = [\"x\"]",
            "model[0].fairness.attributes: 'x' is not among the model's segments",
        ),
        ("[model.fairness]\nwindows = 2", "model[0].fairness.attributes: is missing: write the segments"),
        (
            "segments = [\"x\"]\n[model.fairness]\nattributes = [\"x\"]\ndemographic_parity_ratio = 1",
            "model[0].fairness.demographic_parity_ratio: 1 must lie between 0 and 1",
        ),
        ("[model.mapping]\nid = \"a.b\"", "model[0].mapping.id: 'a.b' is not a JSON Pointer"),
        ("[model.mapping]\nid = \"/a~b\"", "model[0].mapping.id: '/a~b' is not a JSON Pointer"),
        ("[model.columns]\nlabel = \"outcome\"", "model[0].columns.label: 'outcome' is the column of"),
    ];
    for (keys, expected) in cases {
        let error = model_error(keys);
        assert!(error.contains(expected), "{keys}: {error}");
    }
}

#[test]
fn wrong_detectors_are_told_with_what_would_be_right() {
    for (keys, wanted) in [
        (
            "error = [\"adwn\"]",
            "detectors.error[0]: 'adwn' is not a detector, did you mean adwin: write one of adwin, ",
        ),
        ("error = [{ delta = 0.1 }]", "detectors.error[0]: has no kind: write { kind = \"adwin\", … }"),
        ("error = [{ kind = \"adwin\", delt = 0.1 }]", "adwin has no setting delt, did you mean delta: it has delta, "),
        ("error = [{ kind = \"adwin\", delta = 2 }]", "detectors.error[0]: delta must be above 0 and below 1"),
        ("error = [{ kind = \"adwin\", clock = 0.5 }]", "clock must be a whole number from 0 on, not 0.5"),
        ("error = [{ kind = \"adwin\", delta = [1] }]", "delta must be a number, not a list"),
        ("error = [{ kind = \"page_hinkley\", mode = \"left\" }]", "mode must be up, down or both, not left"),
        ("error = [\"adwin\", { kind = \"adwin\", delta = 0.1 }]", "detectors.error: names adwin twice"),
        (
            "loss = [\"ddm\"]",
            "ddm reads only the errors of a classification: write one of adwin, page_hinkley, kswin, cusum",
        ),
        ("features = { x = [\"eddm\"] }", "detectors.features.x[0]: eddm reads only the errors of a classification"),
        (
            "features = { x = [\"hddm_a\"] }",
            "hddm_a reads only values from 0 to 1: write one of adwin, page_hinkley, kswin",
        ),
        (
            "features = { \"prediction.label\" = [\"adwin\"] }",
            "has no mean: only numeric features and prediction.score have",
        ),
        (
            "error = [\"adwin\"]\nfeatures = { error = [\"adwin\"] }",
            "detectors.features.error: the series of detectors.error",
        ),
        ("error = [3]", "must be a detector such as \"adwin\""),
        ("errors = [\"adwin\"]", "did you mean error"),
    ] {
        let error = model_error(&format!("[model.detectors]\n{keys}\n"));
        assert!(error.contains(wanted), "{keys}: {error}");
    }
    let error =
        model_error("[model.features.x]\ntype = \"categorical\"\n[model.detectors.features]\nx = [\"adwin\"]\n");
    assert!(error.contains("detectors.features.x: has no mean"), "{error}");
}
