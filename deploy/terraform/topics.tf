data "google_project" "this" {}

locals {
  topics = toset(["uploads", "predictions", "verdicts", "reviews", "policies", "dead-letters"])

  # Each subscription, and the topic that it reads; one that nobody reads piles up.
  apart = {
    "uploads-detect"      = "uploads"
    "uploads-decide"      = "uploads"
    "predictions-decide"  = "predictions"
    "reviews-decide"      = "reviews"
    "policies-decide"     = "policies"
    "uploads-record"      = "uploads"
    "predictions-record"  = "predictions"
    "verdicts-record"     = "verdicts"
    "reviews-record"      = "reviews"
    "policies-record"     = "policies"
    "dead-letters-record" = "dead-letters"
    "verdicts-platform"   = "verdicts"
    "dead-letters-kept"   = "dead-letters"
  }

  # And those of the job that runs on Dataflow, where it does.
  fused = {
    "uploads-stream"  = "uploads"
    "reviews-stream"  = "reviews"
    "policies-stream" = "policies"
  }

  subscriptions = merge(local.apart, local.on_dataflow ? local.fused : {})

  # Jobs read the newest policy again and again, and leave it there for each other.
  registers = { for name, topic in local.subscriptions : name => topic if topic == "policies" && name != "policies-record" }

  # A dead letter that cannot be delivered stays where it is, and so does the policy in force.
  guarded = { for name, topic in local.subscriptions : name => topic if topic != "dead-letters" && !contains(keys(local.registers), name) }
  pubsub  = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_pubsub_topic" "stream" {
  for_each                   = local.topics
  name                       = "${var.prefix}-${each.key}"
  message_retention_duration = "604800s"
}

resource "google_pubsub_subscription" "stream" {
  for_each                   = local.subscriptions
  name                       = "${var.prefix}-${each.key}"
  topic                      = google_pubsub_topic.stream[each.value].id
  ack_deadline_seconds       = 15
  message_retention_duration = contains(keys(local.registers), each.key) ? "2678400s" : "604800s"

  expiration_policy {
    ttl = ""
  }

  dynamic "retry_policy" {
    for_each = contains(keys(local.registers), each.key) ? [] : [1]
    content {
      minimum_backoff = "1s"
      maximum_backoff = "60s"
    }
  }

  dynamic "dead_letter_policy" {
    for_each = contains(keys(local.guarded), each.key) ? [1] : []
    content {
      dead_letter_topic     = google_pubsub_topic.stream["dead-letters"].id
      max_delivery_attempts = 20
    }
  }
}

# Without these two the dead-letter policy does nothing.
resource "google_pubsub_topic_iam_member" "dead_letters" {
  topic  = google_pubsub_topic.stream["dead-letters"].id
  role   = "roles/pubsub.publisher"
  member = local.pubsub
}

resource "google_pubsub_subscription_iam_member" "dead_letters" {
  for_each     = local.guarded
  subscription = google_pubsub_subscription.stream[each.key].id
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub
}
