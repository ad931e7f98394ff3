//! From a command to events, or to the reason why not. Nothing else decides.

mod checks;
mod experiments;
mod gates;
mod lineage;
mod logged_models;
mod mirror;
mod models;
mod rollouts;
mod runs;
mod versions;
mod webhooks;

use super::command::{Change, Command};
use super::entity::{Subject, Texts};
use super::event::Event;
use super::rejection::Rejection;
use super::state::Registry;

use checks::{room_for_tags, tag_key, tags as check_tags};
use webhooks::Wanted;

/// What a command leads to in this state; no events if everything is already as it asks.
pub fn decide(registry: &Registry, command: &Command) -> Result<Vec<Event>, Rejection> {
    check_revision(registry, command)?;
    gates::check(registry, command)?;
    let (id, at, user) = (command.id.as_str(), command.at, command.user.as_str());
    match command.change.clone() {
        Change::CreateExperiment { name, artifact_location, tags } => {
            experiments::create(registry, at, name, artifact_location, tags)
        }
        Change::RenameExperiment { experiment_id, name } => experiments::rename(registry, experiment_id, name),
        Change::DeleteExperiment { experiment_id } => experiments::delete(registry, experiment_id),
        Change::RestoreExperiment { experiment_id } => experiments::restore(registry, experiment_id),
        Change::CreateRun { experiment_id, run_name, user_id, start_time, tags } => {
            let new = runs::New { experiment_id, run_name, user_id, start_time: start_time.unwrap_or(at), tags };
            runs::create(registry, id, new)
        }
        Change::UpdateRun { run_id, status, end_time, run_name } => {
            runs::update(registry, at, run_id, status, end_time, run_name)
        }
        Change::DeleteRun { run_id } => runs::delete(registry, run_id),
        Change::RestoreRun { run_id } => runs::restore(registry, run_id),
        Change::LogBatch { run_id, metrics, params, tags } => runs::log(registry, run_id, metrics, params, tags),
        Change::NoteModel { run_id, model } => runs::note_model(registry, run_id, &model),
        Change::LogInputs { run_id, datasets, models } => runs::log_inputs(registry, run_id, datasets, models),
        Change::LogOutputs { run_id, models } => runs::log_outputs(registry, run_id, models),
        Change::CreateModel { name, description, tags } => models::create(registry, at, name, description, tags),
        Change::RenameModel { name, new_name } => models::rename(registry, name, new_name),
        Change::DescribeModel { name, description } => models::describe(registry, name, description),
        Change::DeleteModel { name } => models::delete(registry, name),
        Change::SetAlias { name, alias, version } => models::set_alias(registry, name, alias, version),
        Change::DeleteAlias { name, alias } => models::delete_alias(registry, name, alias),
        Change::CreateVersion { name, source, run_id, run_link, model_id, description, tags } => {
            let new = versions::New { name, source, run_id, run_link, model_id, description, tags };
            versions::create(registry, at, user, new)
        }
        Change::MirrorModel { name, description, tags } => mirror::model(registry, at, name, description, tags),
        Change::MirrorVersion { name, version, source, run_id, description, tags } => mirror::version(
            registry,
            at,
            user,
            mirror::Version { name, number: version, source, run_id, description, tags },
        ),
        Change::DescribeVersion { name, version, description } => {
            versions::describe(registry, name, version, description)
        }
        Change::TransitionStage { name, version, stage, archive_existing } => {
            versions::transition(registry, &name, version, stage, archive_existing)
        }
        Change::RecordEvaluation { name, version, rows } => gates::evaluate(registry, name, version, rows),
        Change::RecordGates { name, version, report } => gates::record(registry, &name, version, report),
        Change::FailLoad { name, version, problem, is_lasting } => {
            rollouts::fail_load(registry, at, &name, version, problem, is_lasting)
        }
        Change::FailGates { problem, .. }
        | Change::FailTransition { problem, .. }
        | Change::FailUpload { problem, .. } => Err(Rejection::invalid(problem)),
        Change::ApproveGates { name, version, given } => gates::approve(registry, &name, version, given),
        Change::DeleteVersion { name, version } => versions::delete(registry, name, version),
        Change::StartRollout { name, version, plan } => {
            rollouts::start(registry, rollouts::By { id, at, user, reason: &command.reason }, &name, version, plan)
        }
        Change::PauseRollout { name } => rollouts::pause(registry, &name, &command.reason),
        Change::ResumeRollout { name } => rollouts::resume(registry, at, &name, &command.reason),
        Change::PromoteRollout { name } => rollouts::promote(registry, at, &name, &command.reason),
        Change::AbortRollout { name } => rollouts::abort(registry, at, &name, &command.reason),
        Change::MoveRollout { name, rollout, revision, transition, analysis } => {
            rollouts::follow(registry, at, &name, &rollouts::Seen { rollout, revision }, transition, analysis)
        }
        Change::CreateLoggedModel { experiment_id, name, model_type, source_run_id, params, tags } => {
            let new = logged_models::New { experiment_id, name, model_type, source_run_id, params, tags };
            logged_models::create(registry, at, id, new)
        }
        Change::FinalizeLoggedModel { model_id, status } => logged_models::finalize(registry, model_id, status),
        Change::LogModelParams { model_id, params } => logged_models::log_params(registry, model_id, params),
        Change::DeleteLoggedModel { model_id } => logged_models::delete(registry, model_id),
        Change::CreateWebhook { name, description, url, events, secret, active } => {
            let (name, url, events) = (Some(name), Some(url), Some(events));
            let wanted = Wanted { name, description: Some(description), url, events, secret, active: Some(active) };
            webhooks::create(registry, at, id, wanted)
        }
        Change::UpdateWebhook { webhook_id, name, description, url, events, secret, active } => {
            webhooks::update(registry, at, &webhook_id, Wanted { name, description, url, events, secret, active })
        }
        Change::DeleteWebhook { webhook_id } => webhooks::delete(registry, webhook_id),
        Change::RecordLineage { told } => lineage::record(registry, &told),
        Change::SetTags { subject, tags } => set_tags(registry, subject, tags),
        Change::DeleteTag { subject, key } => delete_tag(registry, subject, key),
    }
}

/// Two who saw the same revision cannot both change it: the second one is told.
fn check_revision(registry: &Registry, command: &Command) -> Result<(), Rejection> {
    let Some(expected) = command.expected_revision else { return Ok(()) };
    let (subject, found) = match &command.change {
        Change::DescribeVersion { name, version, .. }
        | Change::TransitionStage { name, version, .. }
        | Change::RecordGates { name, version, .. }
        | Change::ApproveGates { name, version, .. }
        | Change::DeleteVersion { name, version }
        | Change::SetTags { subject: Subject::Version(name, version), .. }
        | Change::DeleteTag { subject: Subject::Version(name, version), .. } => (
            format!("model version (name={name}, version={version})"),
            versions::find(registry, name, *version)?.revision,
        ),
        Change::RenameModel { name, .. }
        | Change::DescribeModel { name, .. }
        | Change::DeleteModel { name }
        | Change::SetAlias { name, .. }
        | Change::DeleteAlias { name, .. }
        | Change::CreateVersion { name, .. }
        | Change::SetTags { subject: Subject::Model(name), .. }
        | Change::DeleteTag { subject: Subject::Model(name), .. } => {
            (format!("registered model (name={name})"), models::find(registry, name)?.revision)
        }
        _ => return Err(Rejection::invalid("a revision can be expected of registered models and their versions only")),
    };
    if found == expected {
        return Ok(());
    }
    let message = format!("{subject} is at revision {found}, not {expected}: somebody changed it; look at it again");
    Err(Rejection::conflict(message))
}

fn set_tags(registry: &Registry, subject: Subject, tags: Texts) -> Result<Vec<Event>, Rejection> {
    check_tags(&tags)?;
    let found = tags_of(registry, &subject)?;
    if tags.iter().all(|(key, value)| found.get(key) == Some(value)) {
        return Ok(Vec::new());
    }
    room_for_tags(found, &tags)?;
    Ok(vec![Event::TagsSet { subject, tags }])
}

fn delete_tag(registry: &Registry, subject: Subject, key: String) -> Result<Vec<Event>, Rejection> {
    tag_key(&key)?;
    if tags_of(registry, &subject)?.contains_key(&key) {
        return Ok(vec![Event::TagDeleted { subject, key }]);
    }
    match subject {
        // MLflow's clients rely on the difference.
        Subject::Run(run_id) => Err(Rejection::missing(format!("No tag with name: {key} in run with id {run_id}"))),
        Subject::Experiment(id) => {
            Err(Rejection::missing(format!("No tag with name: {key} in experiment with id {id}")))
        }
        Subject::LoggedModel(id) => {
            Err(Rejection::missing(format!("No tag with key '{key}' found for model with ID '{id}'.")))
        }
        Subject::Model(_) | Subject::Version(..) => Ok(Vec::new()),
    }
}

fn tags_of<'a>(registry: &'a Registry, subject: &Subject) -> Result<&'a Texts, Rejection> {
    match subject {
        Subject::Experiment(id) => Ok(&experiments::active(registry, id)?.tags),
        Subject::Run(id) => Ok(&runs::active(registry, id)?.tags),
        Subject::Model(name) => Ok(&models::find(registry, name)?.tags),
        Subject::Version(name, version) => Ok(&versions::find(registry, name, *version)?.tags),
        Subject::LoggedModel(id) => Ok(&logged_models::find(registry, id)?.tags),
    }
}
