//! The codes of this crate's refusals and errors.

gatekit_core::codes! {
    /// AWS could not be reached, or did not answer in time.
    UNREACHABLE = "aws.unreachable",
        next: "see the cause: network, endpoint, region";
    /// AWS had too many calls.
    THROTTLED = "aws.throttled",
        next: "try again later; see who else calls from this account";
    /// AWS failed by itself.
    UNAVAILABLE = "aws.unavailable",
        next: "try again later";
    /// The caller may not make a call.
    DENIED = "aws.denied",
        next: "allow the action that is named, in the caller's policy";
    /// AWS does not accept the credentials, or does no longer.
    CREDENTIALS = "aws.credentials",
        next: "get new credentials, then `resume`";
    /// A call could not be sent, because there are no credentials, no region or no way to the endpoint; or
    /// its answer is none of AWS.
    NOT_SENT = "aws.not_sent",
        next: "see the cause: credentials, region, endpoint";
    /// The endpoint does not know a call.
    UNSUPPORTED = "aws.unsupported",
        next: "use an endpoint that knows the operation that is named";
    /// AWS refused a call.
    REFUSED = "aws.refused",
        next: "see what AWS says";
    /// An answer of AWS lacks what it must have.
    ANSWER = "aws.answer",
        next: "see the cause; try again";
    /// The configuration of a deployer cannot be used.
    CONFIG = "ecs.config",
        next: "mend what is named";
    /// The deployer was made for reading only: it has nothing to ship.
    NOTHING_TO_SHIP = "ecs.nothing_to_ship",
        next: "make the deployer with an image, a revision, or `.force()`";
    /// The image cannot be deployed by its digest.
    IMAGE = "ecs.image",
        next: "give the image as `REPOSITORY@sha256:…`";
    /// There is no such cluster.
    NO_CLUSTER = "ecs.no_cluster",
        next: "see name, region and account of the cluster";
    /// There is no such service, or it is not active.
    NO_SERVICE = "ecs.no_service",
        next: "see name and cluster of the service; create it first";
    /// There is no such revision of a task definition, or it is not active.
    NO_REVISION = "ecs.no_revision",
        next: "name an active revision, as `FAMILY:NUMBER`";
    /// It cannot be told which container gets an image.
    CONTAINER = "ecs.container",
        next: "name the container, as its task definition does";
    /// The service is deployed by another controller than that of ECS.
    CONTROLLER = "ecs.controller",
        next: "release with the tool of that controller";
    /// Another deployment is under way.
    IN_PROGRESS = "ecs.in_progress",
        next: "wait until it has ended, or stop it; then ship again";
    /// The update was accepted, and began no deployment.
    NO_NEW_DEPLOYMENT = "ecs.no_new_deployment",
        next: "see what the service runs: nothing of it was changed";
    /// Something that can be seen beforehand is in the way of a release.
    PREFLIGHT = "ecs.preflight",
        next: "mend all that it names, then ship again";
    /// There is no way back to what ran before.
    NO_WAY_BACK = "ecs.no_way_back",
        next: "mend it by a new release";
    /// Somebody else's release is live.
    ELSEWHERE = "ecs.elsewhere",
        next: "find out who released it; then ship what is to be live";
    /// It cannot be told whether a write landed.
    CANNOT_TELL = "ecs.cannot_tell",
        next: "look at the service's deployments; then `reconcile`";
    /// A gate on alarms without any, or with too many.
    ALARM_CONFIG = "alarm.config",
        next: "name from 1 to 100 alarms";
    /// An alarm fires.
    ALARM_FIRING = "alarm.firing",
        next: "see why it fires";
    /// An alarm was firing before the release was asked for: it says nothing about it.
    ALARM_FIRED_BEFORE = "alarm.fired_before",
        next: "see why it fires, and ship when it is quiet";
    /// There is no such alarm, or the caller does not get to see it.
    ALARM_UNKNOWN = "alarm.unknown",
        next: "see the names, account and region, and allow `cloudwatch:DescribeAlarms` on `*`";
    /// An alarm has not enough data, or is in a state that says nothing.
    ALARM_NO_DATA = "alarm.no_data",
        next: "see its metric; allow it where no data is good news";
    /// CloudWatch cannot evaluate an alarm as it should.
    ALARM_NOT_EVALUATED = "alarm.not_evaluated",
        next: "see the state of its evaluation";
    /// An alarm was in another state in between.
    ALARM_UNSTEADY = "alarm.unsteady",
        next: "see the alarm's history";
    /// The bake takes longer than the gate may.
    ALARM_NO_TIME = "alarm.no_time",
        next: "bake for a shorter time, or give the gates more";

    /// A registry, a repository or a tag cannot have a name, or a change is of another region.
    ECR_CONFIG = "ecr.config",
        next: "mend what is named";
    /// There is no such repository.
    ECR_NO_REPOSITORY = "ecr.no_repository",
        next: "see name, region and account of the repository";
    /// There is no such tag.
    ECR_NO_TAG = "ecr.no_tag",
        next: "see the name of the tag; push the image first";
    /// The repository has no image of that digest.
    ECR_NO_IMAGE = "ecr.no_image",
        next: "push the image to this repository first";
    /// ECR could not do something with an image.
    ECR_IMAGE = "ecr.image",
        next: "see what ECR says";
    /// The bytes of a manifest are not those of its digest, or cannot be read.
    ECR_DIGEST = "ecr.digest",
        next: "push the image anew, and ship the digest that it gets";
    /// A part of an image is gone: a layer, or an image of an index.
    ECR_INCOMPLETE = "ecr.incomplete",
        next: "push the image anew, with all its platforms";
    /// The repository fixes a tag that is to move.
    ECR_IMMUTABLE = "ecr.immutable",
        next: "choose another tag, or exclude this one from the repository's immutability";
    /// Somebody else has moved a tag.
    ECR_TAG_MOVED = "ecr.tag_moved",
        next: "find out who moved it; then ship what it is to name";
    /// A tag is not removed, because its image would be deleted with it.
    ECR_LAST_TAG = "ecr.last_tag",
        next: "give the image another tag, then `resume`";
    /// It cannot be told where a tag stands.
    ECR_CANNOT_TELL = "ecr.cannot_tell",
        next: "look at the tag and its history; then `reconcile`";

    /// The configuration of a gate on findings cannot be used.
    SCAN_CONFIG = "scan.config",
        next: "mend what is named";
    /// More was found in an image than is let through.
    SCAN_FINDINGS = "scan.findings",
        next: "mend what was found, and build anew; or accept it by name, for a while";
    /// ECR has no scan of an image.
    SCAN_NOT_FOUND = "scan.not_found",
        next: "scan the image: switch scan on push on, or start one";
    /// A scan tells nothing that could be judged.
    SCAN_UNUSABLE = "scan.unusable",
        next: "see the status that is named, and scan the image anew";
    /// A scan was not complete by the deadline.
    SCAN_PENDING = "scan.pending",
        next: "ship again when the scan is complete";
}
