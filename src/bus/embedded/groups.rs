//! Consumer groups in which the dead do not hold up the living.

use async_trait::async_trait;
use tansu_broker::Result;
use tansu_broker::coordinator::group::administrator::Controller;
use tansu_broker::coordinator::group::{Coordinator, OffsetCommit};
use tansu_sans_io::join_group_request::JoinGroupRequestProtocol;
use tansu_sans_io::leave_group_request::MemberIdentity;
use tansu_sans_io::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic};
use tansu_sans_io::sync_group_request::SyncGroupRequestAssignment;
use tansu_sans_io::{Body, ErrorCode};
use tansu_storage::{GroupDetail, GroupState, Storage as _, StorageContainer, UpdateError};

/// Tansu's groups, with a fault mended: when a member's heartbeat comes after its session has ended, tansu removes it from
/// the members, but not from the assignments, and not as the leader. If it then joins under another name, or never again,
/// its partitions are nobody's, and a group without a living leader never shares them.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    tansu: Controller<StorageContainer>,
    storage: StorageContainer,
}

impl Groups {
    pub(super) fn new(storage: StorageContainer) -> Result<Self> {
        Ok(Self { tansu: Controller::with_storage(storage.clone())?, storage })
    }

    /// Whether the group had such a member; it shares anew then. Tansu reads a group again when it finds it changed.
    async fn forget_the_gone(&self, group: &str) -> bool {
        // Refused, as only the first version of a group is written without naming the one before; tells what is there.
        let found = self.storage.update_group(group, GroupDetail::default(), None).await;
        let Err(UpdateError::Outdated { current, version }) = found else { return false };
        let Some(mended) = without_the_gone(&current) else { return false };
        tracing::info!(group, members = mended.members.len(), "a member is gone: the others share its partitions");
        if let Err(error) = self.storage.update_group(group, mended, Some(version)).await {
            tracing::debug!(group, ?error, "the group has changed meanwhile");
        }
        true
    }
}

/// The group as it goes on when its leader, or one with partitions, is none of its members.
fn without_the_gone(group: &GroupDetail) -> Option<GroupDetail> {
    let is_gone = |member: &String| !group.members.contains_key(member);
    let (protocol_type, protocol_name, generation_id) = match &group.state {
        GroupState::Forming { protocol_type, protocol_name, leader } => {
            leader.as_ref().filter(|leader| is_gone(leader))?;
            (protocol_type.clone(), protocol_name.clone(), group.generation_id)
        }
        GroupState::Formed { protocol_type, protocol_name, leader, assignments } => {
            assignments.keys().chain([leader]).find(|member| is_gone(member))?;
            // Members learn from a newer generation that they are to join again.
            (Some(protocol_type.clone()), Some(protocol_name.clone()), group.generation_id + 1)
        }
    };
    let state = GroupState::Forming { protocol_type, protocol_name, leader: None };
    Some(GroupDetail { state, generation_id, ..group.clone() })
}

/// Empties every group; committed offsets stay. Its members have died with the last broker, or will join again when
/// they are told that they are unknown. Tansu would hand partitions to the dead, and when it drops them at last it does
/// not tell the living to share anew.
pub(super) async fn forget_members(storage: &StorageContainer) -> Result<()> {
    // Unlike tansu's default, whose protocol without a name no member can agree to.
    let state = GroupState::Forming { protocol_type: None, protocol_name: None, leader: None };
    let empty = GroupDetail { state, ..GroupDetail::default() };
    for group in storage.list_groups(None).await? {
        let mut outcome = storage.update_group(&group.group_id, empty.clone(), None).await;
        // Only the first version of a group is written without naming the one before.
        if let Err(UpdateError::Outdated { version, .. }) = outcome {
            outcome = storage.update_group(&group.group_id, empty.clone(), Some(version)).await;
        }
        if let Err(error) = outcome {
            tracing::warn!(group = group.group_id, ?error, "the group's last members cannot be forgotten");
        }
    }
    Ok(())
}

/// Whether the one who joined is told that another member leads.
fn follows(answer: &Body) -> bool {
    let Body::JoinGroupResponse(answer) = answer else { return false };
    answer.error_code == i16::from(ErrorCode::None) && answer.leader != answer.member_id
}

fn is_to_join_again(answer: &Body) -> bool {
    let Body::HeartbeatResponse(answer) = answer else { return false };
    answer.error_code == i16::from(ErrorCode::RebalanceInProgress)
}

#[async_trait]
impl Coordinator for Groups {
    async fn join(
        &mut self,
        client_id: Option<&str>,
        group_id: &str,
        session_timeout_ms: i32,
        rebalance_timeout_ms: Option<i32>,
        member_id: &str,
        group_instance_id: Option<&str>,
        protocol_type: &str,
        protocols: Option<&[JoinGroupRequestProtocol]>,
        reason: Option<&str>,
    ) -> Result<Body> {
        loop {
            let answer = self
                .tansu
                .join(
                    client_id,
                    group_id,
                    session_timeout_ms,
                    rebalance_timeout_ms,
                    member_id,
                    group_instance_id,
                    protocol_type,
                    protocols,
                    reason,
                )
                .await?;
            if !follows(&answer) || !self.forget_the_gone(group_id).await {
                return Ok(answer);
            }
        }
    }

    async fn sync(
        &mut self,
        group_id: &str,
        generation_id: i32,
        member_id: &str,
        group_instance_id: Option<&str>,
        protocol_type: Option<&str>,
        protocol_name: Option<&str>,
        assignments: Option<&[SyncGroupRequestAssignment]>,
    ) -> Result<Body> {
        self.tansu
            .sync(group_id, generation_id, member_id, group_instance_id, protocol_type, protocol_name, assignments)
            .await
    }

    async fn heartbeat(
        &mut self,
        group_id: &str,
        generation_id: i32,
        member_id: &str,
        group_instance_id: Option<&str>,
    ) -> Result<Body> {
        let answer = self.tansu.heartbeat(group_id, generation_id, member_id, group_instance_id).await?;
        if is_to_join_again(&answer) {
            self.forget_the_gone(group_id).await;
        }
        Ok(answer)
    }

    async fn leave(
        &mut self,
        group_id: &str,
        member_id: Option<&str>,
        members: Option<&[MemberIdentity]>,
    ) -> Result<Body> {
        self.tansu.leave(group_id, member_id, members).await
    }

    async fn offset_commit(&mut self, detail: OffsetCommit<'_>) -> Result<Body> {
        self.tansu.offset_commit(detail).await
    }

    async fn offset_fetch(
        &mut self,
        group_id: Option<&str>,
        topics: Option<&[OffsetFetchRequestTopic]>,
        groups: Option<&[OffsetFetchRequestGroup]>,
        require_stable: Option<bool>,
    ) -> Result<Body> {
        self.tansu.offset_fetch(group_id, topics, groups, require_stable).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tansu_sans_io::JoinGroupResponse;
    use tansu_storage::GroupMember;
    use tempfile::TempDir;

    use super::super::{folder::Folder, open};
    use super::*;

    const GROUP: &str = "plimsoll.test";
    const SESSION: Duration = Duration::from_millis(500);

    async fn groups(data: &TempDir) -> Groups {
        let folder = Folder::open(data.path()).unwrap();
        let address = "127.0.0.1:9092".parse().unwrap();
        Groups::new(open(&folder.url, &folder.cluster, address).await.unwrap()).unwrap()
    }

    /// Joins as a client does: the first time without a name, then with the one that it was given.
    async fn join(groups: &mut impl Coordinator, member: &str) -> JoinGroupResponse {
        let protocols = [JoinGroupRequestProtocol::default().name("range".to_owned())];
        let mut member = member.to_owned();
        let session = i32::try_from(SESSION.as_millis()).unwrap();
        loop {
            let answer = groups
                .join(None, GROUP, session, None, &member, None, "consumer", Some(&protocols), None)
                .await
                .unwrap();
            let Body::JoinGroupResponse(answer) = answer else { panic!("{answer:?}") };
            if answer.error_code != i16::from(ErrorCode::MemberIdRequired) {
                return answer;
            }
            member = answer.member_id;
        }
    }

    async fn share(groups: &mut impl Coordinator, leader: &JoinGroupResponse, members: &[&JoinGroupResponse]) {
        let assign = |member: &&JoinGroupResponse| {
            SyncGroupRequestAssignment::default().member_id(member.member_id.clone()).assignment(b"all"[..].into())
        };
        let assignments: Vec<_> = members.iter().map(assign).collect();
        let shared = groups
            .sync(GROUP, leader.generation_id, &leader.member_id, None, None, None, Some(&assignments))
            .await
            .unwrap();
        let Body::SyncGroupResponse(shared) = shared else { panic!("{shared:?}") };
        assert_eq!(shared.error_code, 0);
    }

    async fn heartbeat(groups: &mut impl Coordinator, member: &JoinGroupResponse) -> ErrorCode {
        let answer = groups.heartbeat(GROUP, member.generation_id, &member.member_id, None).await.unwrap();
        let Body::HeartbeatResponse(answer) = answer else { panic!("{answer:?}") };
        ErrorCode::try_from(answer.error_code).unwrap()
    }

    /// One that leads, and whose heartbeat comes too late.
    async fn late_leader(groups: &mut impl Coordinator) -> JoinGroupResponse {
        let leader = join(groups, "").await;
        share(groups, &leader, &[&leader]).await;
        tokio::time::sleep(SESSION + Duration::from_millis(50)).await;
        assert_eq!(heartbeat(groups, &leader).await, ErrorCode::RebalanceInProgress);
        leader
    }

    #[tokio::test]
    async fn a_leader_whose_heartbeat_was_late_may_join_again_under_another_name() {
        let data = TempDir::new().unwrap();
        let mut groups = groups(&data).await;
        let late = late_leader(&mut groups.tansu).await;
        assert_eq!(join(&mut groups.tansu, "").await.leader, late.member_id, "tansu has mended this: {late:?}");
        let again = join(&mut groups, "").await;
        assert_eq!(again.leader, again.member_id);
        assert!(again.members.unwrap().iter().any(|member| member.member_id == again.member_id));
    }

    #[tokio::test]
    async fn a_leader_whose_heartbeat_was_late_may_join_again_under_its_own_name() {
        let data = TempDir::new().unwrap();
        let mut groups = groups(&data).await;
        let late = late_leader(&mut groups).await;
        let again = join(&mut groups, &late.member_id).await;
        assert_eq!((&again.leader, &again.member_id), (&late.member_id, &late.member_id));
        share(&mut groups, &again, &[&again]).await;
        assert_eq!(heartbeat(&mut groups, &again).await, ErrorCode::None);
    }

    fn detail(state: GroupState, members: &[&str]) -> GroupDetail {
        let members = members.iter().map(|name| ((*name).to_owned(), GroupMember::default())).collect();
        GroupDetail { state, members, generation_id: 4, ..GroupDetail::default() }
    }

    #[test]
    fn a_group_shares_anew_when_a_member_with_partitions_is_gone_and_only_then() {
        let formed = GroupState::Formed {
            protocol_type: "consumer".to_owned(),
            protocol_name: "range".to_owned(),
            leader: "a".to_owned(),
            assignments: ["a", "b"].map(|name| (name.to_owned(), b"all"[..].into())).into(),
        };
        let forming = |leader: Option<&str>| GroupState::Forming {
            protocol_type: Some("consumer".to_owned()),
            protocol_name: Some("range".to_owned()),
            leader: leader.map(ToOwned::to_owned),
        };
        for gone in [&["a"][..], &["b"], &["c"], &[]] {
            let mended = without_the_gone(&detail(formed.clone(), gone)).unwrap();
            assert_eq!((&mended.state, mended.generation_id), (&forming(None), 5), "{gone:?}");
            assert_eq!(mended.members.len(), gone.len());
        }
        assert_eq!(without_the_gone(&detail(formed, &["a", "b", "c"])), None);
        let mended = without_the_gone(&detail(forming(Some("a")), &["b"])).unwrap();
        assert_eq!((mended.state, mended.generation_id), (forming(None), 4));
        assert_eq!(without_the_gone(&detail(forming(Some("a")), &["a"])), None);
        assert_eq!(without_the_gone(&detail(forming(None), &["b"])), None);
    }
}
