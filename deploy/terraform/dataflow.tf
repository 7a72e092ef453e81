# The stream as one job on Dataflow, from a flex template: only where an image is named.
locals {
  on_dataflow = var.dataflow_image != null
  dataflow    = toset(local.on_dataflow ? ["stream"] : [])

  template = jsonencode({
    image    = var.dataflow_image
    sdkInfo  = { language = "PYTHON" }
    metadata = jsondecode(file("${path.module}/../dataflow/metadata.json"))
  })
}

resource "google_storage_bucket" "dataflow" {
  for_each                    = local.dataflow
  name                        = "${var.project}-${var.prefix}-dataflow"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  lifecycle_rule {
    condition {
      age            = 30
      matches_prefix = ["temp/"]
    }
    action {
      type = "Delete"
    }
  }
}

resource "google_storage_bucket_object" "template" {
  for_each     = local.dataflow
  bucket       = google_storage_bucket.dataflow[each.key].name
  name         = "templates/${each.key}-${substr(sha256(local.template), 0, 12)}.json"
  content      = local.template
  content_type = "application/json"
}

resource "google_dataflow_flex_template_job" "stream" {
  provider                = google-beta
  for_each                = local.dataflow
  name                    = "${var.prefix}-${each.key}"
  region                  = var.region
  container_spec_gcs_path = "gs://${google_storage_bucket.dataflow[each.key].name}/${google_storage_bucket_object.template[each.key].name}"
  sdk_container_image     = var.dataflow_image
  service_account_email   = google_service_account.job[each.key].email
  temp_location           = "gs://${google_storage_bucket.dataflow[each.key].name}/temp"
  staging_location        = "gs://${google_storage_bucket.dataflow[each.key].name}/staging"
  enable_streaming_engine = true
  max_workers             = var.dataflow_max_workers
  on_delete               = "drain"

  parameters = merge({
    uploads      = google_pubsub_subscription.stream["uploads-stream"].id
    reviews      = google_pubsub_subscription.stream["reviews-stream"].id
    predictions  = google_pubsub_topic.stream["predictions"].id
    verdicts     = google_pubsub_topic.stream["verdicts"].id
    dead_letters = google_pubsub_topic.stream["dead-letters"].id
    log_format   = "json"
  }, var.dataflow_parameters)

  depends_on = [
    google_project_iam_member.worker,
    google_storage_bucket_iam_member.dataflow,
    google_artifact_registry_repository_iam_member.image,
    google_pubsub_subscription_iam_member.reads,
    google_pubsub_topic_iam_member.writes,
  ]
}

# What a worker needs beside its streams: to work for Dataflow, its bucket, and its image. The native
# source also asks what its subscription is like.
resource "google_project_iam_member" "worker" {
  for_each = local.dataflow
  project  = var.project
  role     = "roles/dataflow.worker"
  member   = google_service_account.job[each.key].member
}

resource "google_storage_bucket_iam_member" "dataflow" {
  for_each = local.dataflow
  bucket   = google_storage_bucket.dataflow[each.key].name
  role     = "roles/storage.objectAdmin"
  member   = google_service_account.job[each.key].member
}

resource "google_artifact_registry_repository_iam_member" "image" {
  for_each   = local.dataflow
  repository = var.dataflow_repository
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.job[each.key].member
}

resource "google_pubsub_subscription_iam_member" "views" {
  for_each     = local.on_dataflow ? local.fused : {}
  subscription = google_pubsub_subscription.stream[each.key].id
  role         = "roles/pubsub.viewer"
  member       = google_service_account.job["stream"].member
}
