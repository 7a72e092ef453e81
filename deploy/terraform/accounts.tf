# An account for each job, which may read and write only what that job does.
locals {
  jobs = merge(local.always, local.on_dataflow ? local.stream : {})

  stream = {
    stream = {
      reads  = ["uploads-stream", "reviews-stream", "policies-stream"]
      writes = ["predictions", "verdicts", "dead-letters"]
    }
  }

  always = {
    detect = { reads = ["uploads-detect"], writes = ["predictions", "dead-letters"] }
    decide = {
      reads  = ["uploads-decide", "predictions-decide", "reviews-decide", "policies-decide"]
      writes = ["verdicts", "dead-letters"]
    }
    record = {
      reads = [
        "uploads-record", "predictions-record", "verdicts-record", "reviews-record",
        "policies-record", "dead-letters-record",
      ]
      writes = []
    }
    platform = { reads = ["verdicts-platform"], writes = ["uploads"] }
    console  = { reads = [], writes = ["reviews", "policies"] }
  }

  reads  = merge([for job, may in local.jobs : { for name in may.reads : "${job}/${name}" => { job = job, name = name } }]...)
  writes = merge([for job, may in local.jobs : { for name in may.writes : "${job}/${name}" => { job = job, name = name } }]...)
}

resource "google_service_account" "job" {
  for_each     = local.jobs
  account_id   = "${var.prefix}-${each.key}"
  display_name = "Quorum ${each.key}"
}

resource "google_pubsub_subscription_iam_member" "reads" {
  for_each     = local.reads
  subscription = google_pubsub_subscription.stream[each.value.name].id
  role         = "roles/pubsub.subscriber"
  member       = google_service_account.job[each.value.job].member
}

resource "google_pubsub_topic_iam_member" "writes" {
  for_each = local.writes
  topic    = google_pubsub_topic.stream[each.value.name].id
  role     = "roles/pubsub.publisher"
  member   = google_service_account.job[each.value.job].member
}

locals {
  # Whoever detects reads the media.
  media = merge([for job in ["detect", "stream"] : {
    for bucket in var.media_buckets : "${job}/${bucket}" => { job = job, bucket = bucket }
    if contains(keys(local.jobs), job)
  }]...)
}

resource "google_storage_bucket_iam_member" "media" {
  for_each = local.media
  bucket   = each.value.bucket
  role     = "roles/storage.objectViewer"
  member   = google_service_account.job[each.value.job].member
}
