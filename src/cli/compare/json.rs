//! The comparison as JSON, for programs.

use serde_json::{Map, Value, json};

use super::report::{ColumnReport, Comparison, PartReport};

/// The whole file's part stands at the top; segments and windows are lists of the same shape.
pub(super) fn write(comparison: &Comparison) -> String {
    let mut top = Map::new();
    top.insert("n_reference".to_owned(), comparison.n_reference.into());
    top.insert("n_current".to_owned(), comparison.n_current.into());
    top.insert("verdict".to_owned(), comparison.verdict.name().into());
    let whole = comparison.parts.iter().find(|part| part.window_start.is_none() && part.segment.is_none());
    top.insert("columns".to_owned(), whole.map_or_else(|| json!({}), columns));
    top.insert("performance".to_owned(), whole.map_or_else(|| json!({}), performance));
    top.insert("confusion".to_owned(), whole.map_or_else(|| json!([]), |part| json!(part.confusion)));
    top.insert("calibration".to_owned(), whole.map_or_else(|| json!([]), |part| json!(part.calibration)));
    top.insert("fairness".to_owned(), whole.map_or_else(|| json!({}), fairness));
    top.insert("multivariate".to_owned(), whole.map_or_else(|| json!({}), multivariate));
    top.insert("attributions".to_owned(), whole.map_or_else(|| json!([]), |part| json!(part.attributions)));
    if !comparison.detections.is_empty() {
        top.insert("detections".to_owned(), json!(comparison.detections));
    }
    let others = comparison.parts.iter().filter(|part| part.window_start.is_some() || part.segment.is_some());
    let others: Vec<Value> = others.map(|part| part_object(comparison, part)).collect();
    if !others.is_empty() {
        let name = if comparison.window.is_some() { "windows" } else { "segments" };
        top.insert(name.to_owned(), others.into());
    }
    let mut text = format!("{:#}", Value::Object(top));
    text.push('\n');
    text
}

fn part_object(comparison: &Comparison, part: &PartReport) -> Value {
    let end = part.window_start.zip(comparison.window).map(|(start, size)| start.plus(size.length));
    json!({
        "window_start": part.window_start,
        "window_end": end,
        "segment": part.segment,
        "n_reference": part.n_reference,
        "n_current": part.n_current,
        "verdict": part.verdict.name(),
        "columns": columns(part),
        "performance": performance(part),
        "confusion": part.confusion,
        "calibration": part.calibration,
        "fairness": fairness(part),
        "multivariate": multivariate(part),
        "attributions": part.attributions,
    })
}

fn columns(part: &PartReport) -> Value {
    let objects = part.columns.iter().map(|column| (column.name.clone(), column_object(column)));
    Value::Object(objects.collect())
}

fn column_object(column: &ColumnReport) -> Value {
    let methods: Map<String, Value> = column
        .drift
        .iter()
        .map(|row| {
            let object = json!({
                "statistic": row.statistic,
                "lower": row.lower,
                "upper": row.upper,
                "p_value": row.p_value,
                "threshold": row.threshold,
                "verdict": row.verdict.name(),
                "decides": row.decides,
                "detail": row.detail,
            });
            (row.method.name().to_owned(), object)
        })
        .collect();
    let quality: Map<String, Value> = column
        .quality
        .iter()
        .map(|row| {
            let object = json!({
                "value": row.value,
                "reference": row.reference,
                "p_value": row.p_value,
                "threshold": row.threshold,
                "verdict": row.verdict.name(),
                "detail": row.detail,
            });
            (row.rule.name().to_owned(), object)
        })
        .collect();
    let mut object = json!({
        "kind": column.kind,
        "verdict": column.verdict.name(),
        "methods": methods,
        "quality": quality,
    });
    if column.drifted_by().is_some() {
        object["root_cause"] = json!(column.root_cause);
    }
    object
}

fn performance(part: &PartReport) -> Value {
    let metrics = part.performance.iter().map(|row| {
        let object = json!({
            "reference": row.reference,
            "current": row.value,
            "lower": row.lower,
            "upper": row.upper,
            "estimated": row.estimated,
            "estimated_lower": row.estimated_lower,
            "estimated_upper": row.estimated_upper,
            "residual": row.residual,
            "residual_p_value": row.residual_p_value,
            "n": row.n,
            "verdict": row.verdict.name(),
            "detail": row.detail,
        });
        (row.metric.name().to_owned(), object)
    });
    Value::Object(metrics.collect())
}

/// By method.
fn multivariate(part: &PartReport) -> Value {
    let methods = part.multivariate.iter().map(|row| {
        let object = json!({
            "statistic": row.statistic,
            "reference": row.reference,
            "lower": row.lower,
            "upper": row.upper,
            "p_value": row.p_value,
            "threshold": row.threshold,
            "features": row.features,
            "components": row.components,
            "verdict": row.verdict.name(),
            "detail": row.detail,
        });
        (row.method.name().to_owned(), object)
    });
    Value::Object(methods.collect())
}

/// By attribute, then by metric.
fn fairness(part: &PartReport) -> Value {
    let mut attributes: Map<String, Value> = Map::new();
    for row in &part.fairness {
        let metrics = attributes.entry(row.attribute.clone()).or_insert_with(|| json!({}));
        metrics[row.metric.name()] = json!({
            "value": row.value,
            "worst_group": row.worst_group,
            "threshold": row.threshold,
            "n": row.n,
            "verdict": row.verdict.name(),
            "detail": row.detail,
        });
    }
    Value::Object(attributes)
}
