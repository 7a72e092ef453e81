variable "project" {
  description = "The Google Cloud project."
  type        = string
}

variable "region" {
  description = "The region of the provider."
  type        = string
  default     = "europe-west1"
}

variable "prefix" {
  description = "What each name begins with, as in quorum topics create."
  type        = string
  default     = "quorum"
}

variable "media_buckets" {
  description = "Buckets that detectors may read media from."
  type        = set(string)
  default     = []
}
