// SPDX-License-Identifier: Apache-2.0

/** One kind of request. */
export interface Api {
  readonly key: number;
  readonly name: string;
  /** Newest version known; newer ones are read as that. */
  readonly versionMax: number;
  /** First version with compact strings and tagged fields. */
  readonly flexibleFrom: number;
}

export const PRODUCE = 0;
export const FETCH = 1;
export const METADATA = 3;
export const CONTROLLED_SHUTDOWN = 7;
export const OFFSET_COMMIT = 8;
export const JOIN_GROUP = 11;
export const HEARTBEAT = 12;
export const LEAVE_GROUP = 13;
export const SYNC_GROUP = 14;
export const SASL_HANDSHAKE = 17;
export const API_VERSIONS = 18;
export const TXN_OFFSET_COMMIT = 28;
export const CONSUMER_GROUP_HEARTBEAT = 68;

/**
 * All requests by their key, of Kafka 4.4 and, where it has removed them, of 3.9: the name, the
 * newest version, the first flexible one. https://kafka.apache.org/protocol.html#protocol_api_keys
 */
const TABLE = `Produce:13:9 Fetch:18:12 ListOffsets:11:6 Metadata:13:9 LeaderAndIsr:7:4
StopReplica:4:2 UpdateMetadata:8:6 ControlledShutdown:3:3 OffsetCommit:10:8 OffsetFetch:10:6
FindCoordinator:6:3 JoinGroup:9:6 Heartbeat:4:4 LeaveGroup:5:4 SyncGroup:5:4 DescribeGroups:6:5
ListGroups:5:3 SaslHandshake:1:- ApiVersions:5:3 CreateTopics:7:5 DeleteTopics:6:4 DeleteRecords:2:2
InitProducerId:6:2 OffsetForLeaderEpoch:4:4 AddPartitionsToTxn:5:3 AddOffsetsToTxn:4:3 EndTxn:5:3
WriteTxnMarkers:2:1 TxnOffsetCommit:6:3 DescribeAcls:3:2 CreateAcls:3:2 DeleteAcls:3:2
DescribeConfigs:4:4 AlterConfigs:2:2 AlterReplicaLogDirs:2:2 DescribeLogDirs:5:2 SaslAuthenticate:2:2
CreatePartitions:3:2 CreateDelegationToken:3:2 RenewDelegationToken:2:2 ExpireDelegationToken:2:2
DescribeDelegationToken:3:2 DeleteGroups:3:2 ElectLeaders:2:2 IncrementalAlterConfigs:1:1
AlterPartitionReassignments:1:0 ListPartitionReassignments:0:0 OffsetDelete:0:-
DescribeClientQuotas:1:1 AlterClientQuotas:1:1 DescribeUserScramCredentials:0:0
AlterUserScramCredentials:0:0 Vote:2:0 BeginQuorumEpoch:1:1 EndQuorumEpoch:1:1 DescribeQuorum:2:0
AlterPartition:3:0 UpdateFeatures:2:0 Envelope:0:0 FetchSnapshot:1:0 DescribeCluster:2:0
DescribeProducers:0:0 BrokerRegistration:4:0 BrokerHeartbeat:2:0 UnregisterBroker:0:0
DescribeTransactions:0:0 ListTransactions:2:0 AllocateProducerIds:0:0 ConsumerGroupHeartbeat:1:0
ConsumerGroupDescribe:1:0 ControllerRegistration:0:0 GetTelemetrySubscriptions:0:0 PushTelemetry:0:0
AssignReplicasToDirs:0:0 ListConfigResources:1:0 DescribeTopicPartitions:0:0 ShareGroupHeartbeat:1:0
ShareGroupDescribe:1:0 ShareFetch:2:0 ShareAcknowledge:2:0 AddRaftVoter:1:0 RemoveRaftVoter:0:0
UpdateRaftVoter:0:0 InitializeShareGroupState:0:0 ReadShareGroupState:0:0 WriteShareGroupState:1:0
DeleteShareGroupState:0:0 ReadShareGroupStateSummary:1:0 StreamsGroupHeartbeat:1:0
StreamsGroupDescribe:1:0 DescribeShareGroupOffsets:1:0 AlterShareGroupOffsets:0:0
DeleteShareGroupOffsets:0:0 StreamsGroupTopologyDescriptionUpdate:0:0 UnregisterController:0:0`;

/** Versions that a later Kafka may have of an API that we know. */
const VERSIONS_TO_COME = 4;

const apis: readonly Api[] = TABLE.split(/\s+/).map((row, key) => {
  const [name = "", versionMax, flexibleFrom] = row.split(":");
  const flexible = flexibleFrom === "-" ? Number.POSITIVE_INFINITY : Number(flexibleFrom);
  return { key, name, versionMax: Number(versionMax), flexibleFrom: flexible };
});

/** Undefined for what is no request. */
export function apiOf(key: number, version: number): Api | undefined {
  const api = apis[key];
  return api !== undefined && version <= api.versionMax + VERSIONS_TO_COME ? api : undefined;
}

/**
 * First version whose response starts with a throttle time, for responses that have their error
 * code right after it (or at their beginning).
 */
const THROTTLED_FROM: ReadonlyMap<number, number> = new Map([
  [10, 1], // FindCoordinator, up to version 3
  [JOIN_GROUP, 2],
  [HEARTBEAT, 1],
  [LEAVE_GROUP, 1],
  [SYNC_GROUP, 1],
  [16, 1], // ListGroups
  [SASL_HANDSHAKE, Number.POSITIVE_INFINITY],
  [API_VERSIONS, Number.POSITIVE_INFINITY],
  [22, 0], // InitProducerId
  [25, 0], // AddOffsetsToTxn
  [26, 0], // EndTxn
  [36, Number.POSITIVE_INFINITY], // SaslAuthenticate
  [60, 0], // DescribeCluster
  [66, 0], // ListTransactions
  [CONSUMER_GROUP_HEARTBEAT, 0],
  [71, 0], // GetTelemetrySubscriptions
  [72, 0], // PushTelemetry
  [76, 0], // ShareGroupHeartbeat
  [78, 0], // ShareFetch
  [88, 0], // StreamsGroupHeartbeat
]);

/** Bytes before the error code in the response's body; -1 where it has none there. */
export function errorOffset(key: number, version: number): number {
  const from = THROTTLED_FROM.get(key);
  if (from === undefined || (key === 10 && version > 3)) return -1;
  return version >= from ? 4 : 0;
}

/** By https://kafka.apache.org/protocol.html#protocol_error_codes, from 1 on. */
const ERRORS = `OFFSET_OUT_OF_RANGE CORRUPT_MESSAGE UNKNOWN_TOPIC_OR_PARTITION INVALID_FETCH_SIZE
LEADER_NOT_AVAILABLE NOT_LEADER_OR_FOLLOWER REQUEST_TIMED_OUT BROKER_NOT_AVAILABLE
REPLICA_NOT_AVAILABLE MESSAGE_TOO_LARGE STALE_CONTROLLER_EPOCH OFFSET_METADATA_TOO_LARGE
NETWORK_EXCEPTION COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE NOT_COORDINATOR
INVALID_TOPIC_EXCEPTION RECORD_LIST_TOO_LARGE NOT_ENOUGH_REPLICAS
NOT_ENOUGH_REPLICAS_AFTER_APPEND INVALID_REQUIRED_ACKS ILLEGAL_GENERATION
INCONSISTENT_GROUP_PROTOCOL INVALID_GROUP_ID UNKNOWN_MEMBER_ID INVALID_SESSION_TIMEOUT
REBALANCE_IN_PROGRESS INVALID_COMMIT_OFFSET_SIZE TOPIC_AUTHORIZATION_FAILED
GROUP_AUTHORIZATION_FAILED CLUSTER_AUTHORIZATION_FAILED INVALID_TIMESTAMP
UNSUPPORTED_SASL_MECHANISM ILLEGAL_SASL_STATE UNSUPPORTED_VERSION TOPIC_ALREADY_EXISTS
INVALID_PARTITIONS INVALID_REPLICATION_FACTOR INVALID_REPLICA_ASSIGNMENT INVALID_CONFIG
NOT_CONTROLLER INVALID_REQUEST UNSUPPORTED_FOR_MESSAGE_FORMAT POLICY_VIOLATION
OUT_OF_ORDER_SEQUENCE_NUMBER DUPLICATE_SEQUENCE_NUMBER INVALID_PRODUCER_EPOCH INVALID_TXN_STATE
INVALID_PRODUCER_ID_MAPPING INVALID_TRANSACTION_TIMEOUT CONCURRENT_TRANSACTIONS
TRANSACTION_COORDINATOR_FENCED TRANSACTIONAL_ID_AUTHORIZATION_FAILED SECURITY_DISABLED
OPERATION_NOT_ATTEMPTED KAFKA_STORAGE_ERROR LOG_DIR_NOT_FOUND SASL_AUTHENTICATION_FAILED
UNKNOWN_PRODUCER_ID REASSIGNMENT_IN_PROGRESS DELEGATION_TOKEN_AUTH_DISABLED
DELEGATION_TOKEN_NOT_FOUND DELEGATION_TOKEN_OWNER_MISMATCH DELEGATION_TOKEN_REQUEST_NOT_ALLOWED
DELEGATION_TOKEN_AUTHORIZATION_FAILED DELEGATION_TOKEN_EXPIRED INVALID_PRINCIPAL_TYPE
NON_EMPTY_GROUP GROUP_ID_NOT_FOUND FETCH_SESSION_ID_NOT_FOUND INVALID_FETCH_SESSION_EPOCH
LISTENER_NOT_FOUND TOPIC_DELETION_DISABLED FENCED_LEADER_EPOCH UNKNOWN_LEADER_EPOCH
UNSUPPORTED_COMPRESSION_TYPE STALE_BROKER_EPOCH OFFSET_NOT_AVAILABLE MEMBER_ID_REQUIRED
PREFERRED_LEADER_NOT_AVAILABLE GROUP_MAX_SIZE_REACHED FENCED_INSTANCE_ID
ELIGIBLE_LEADERS_NOT_AVAILABLE ELECTION_NOT_NEEDED NO_REASSIGNMENT_IN_PROGRESS
GROUP_SUBSCRIBED_TO_TOPIC INVALID_RECORD UNSTABLE_OFFSET_COMMIT THROTTLING_QUOTA_EXCEEDED
PRODUCER_FENCED RESOURCE_NOT_FOUND DUPLICATE_RESOURCE UNACCEPTABLE_CREDENTIAL
INCONSISTENT_VOTER_SET INVALID_UPDATE_VERSION FEATURE_UPDATE_FAILED
PRINCIPAL_DESERIALIZATION_FAILURE SNAPSHOT_NOT_FOUND POSITION_OUT_OF_RANGE UNKNOWN_TOPIC_ID
DUPLICATE_BROKER_REGISTRATION BROKER_ID_NOT_REGISTERED INCONSISTENT_TOPIC_ID
INCONSISTENT_CLUSTER_ID TRANSACTIONAL_ID_NOT_FOUND FETCH_SESSION_TOPIC_ID_ERROR
INELIGIBLE_REPLICA NEW_LEADER_ELECTED OFFSET_MOVED_TO_TIERED_STORAGE FENCED_MEMBER_EPOCH
UNRELEASED_INSTANCE_ID UNSUPPORTED_ASSIGNOR STALE_MEMBER_EPOCH MISMATCHED_ENDPOINT_TYPE
UNSUPPORTED_ENDPOINT_TYPE UNKNOWN_CONTROLLER_ID UNKNOWN_SUBSCRIPTION_ID TELEMETRY_TOO_LARGE
INVALID_REGISTRATION TRANSACTION_ABORTABLE INVALID_RECORD_STATE SHARE_SESSION_NOT_FOUND
INVALID_SHARE_SESSION_EPOCH FENCED_STATE_EPOCH INVALID_VOTER_KEY DUPLICATE_VOTER
VOTER_NOT_FOUND INVALID_REGULAR_EXPRESSION REBOOTSTRAP_REQUIRED STREAMS_INVALID_TOPOLOGY
STREAMS_INVALID_TOPOLOGY_EPOCH STREAMS_TOPOLOGY_FENCED SHARE_SESSION_LIMIT_REACHED
GROUP_DELETION_FAILED STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED CONTROLLER_ID_NOT_REGISTERED`;

const errors: readonly string[] = ERRORS.split(/\s+/);

/** `error.type` of an error code other than 0. */
export function errorName(code: number): string {
  return code === -1 ? "UNKNOWN_SERVER_ERROR" : (errors[code - 1] ?? `error_${code}`);
}
