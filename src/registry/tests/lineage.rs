//! Where versions come from.

use super::*;

#[test]
fn lineage_is_found_in_the_run_and_in_the_tags_of_the_version() {
    let mut bench = Bench::with_versions(0);
    bench.done(create_run());
    let run_id = bench.registry.runs().next().unwrap().run_id.clone();
    bench.done(log(&run_id, vec![metric("auc", 0.9, 0)], &[("lr", "0.1")]));
    let commit = texts(&[("mlflow.source.git.commit", "c0ffee"), ("mlflow.source.name", "train.py")]);
    bench.done(Change::SetTags { subject: Subject::Run(run_id.clone()), tags: commit });
    let dataset = DatasetInput {
        name: "loans".into(),
        digest: "d1".into(),
        source_type: "local".into(),
        source: "s3://bucket/loans".into(),
        schema: None,
        profile: None,
        tags: texts(&[("mlflow.data.context", "training")]),
    };
    bench.done(Change::LogInputs { run_id: run_id.clone(), datasets: vec![dataset], models: Vec::new() });
    let Change::CreateVersion { name, source, run_link, model_id, description, .. } = create_version("m") else {
        panic!()
    };
    let offsets = r#"[{"topic":"predictions","partition":0,"from":25000,"to":37500}]"#;
    let tags = texts(&[(DVC_TAG, "d41d8cd98f00b204e9800998ecf8427e.dir"), (OFFSETS_TAG, offsets)]);
    bench.done(Change::CreateVersion { name, source, run_id: run_id.clone(), run_link, model_id, description, tags });

    let lineage = Lineage::of(&bench.registry, "m", 1).unwrap();
    assert_eq!(lineage.run_id.as_deref(), Some(run_id.as_str()));
    assert_eq!(lineage.code, Code { version: Some("c0ffee".into()), entry_point: Some("train.py".into()) });
    let data: Vec<(&str, &str)> = lineage.data.iter().map(|data| (data.kind.as_str(), data.digest.as_str())).collect();
    assert_eq!(data, [("dataset", "d1"), ("dvc", "d41d8cd98f00b204e9800998ecf8427e.dir")]);
    assert_eq!(lineage.data[0].context.as_deref(), Some("training"));
    assert_eq!(lineage.offsets.unwrap()[0]["to"], 37_500);
    assert_eq!((lineage.params, lineage.metrics.len()), (texts(&[("lr", "0.1")]), 1));
    assert!(Lineage::of(&bench.registry, "m", 2).is_none());
}
