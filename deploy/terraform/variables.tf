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

variable "dataflow_image" {
  description = "The image of the Dockerfile's target dataflow, to run the stream on Dataflow; null for elsewhere."
  type        = string
  default     = null
}

variable "dataflow_repository" {
  description = "The Artifact Registry repository of that image, such as projects/P/locations/L/repositories/R."
  type        = string
  default     = null

  validation {
    condition     = (var.dataflow_repository == null) == (var.dataflow_image == null)
    error_message = "Give dataflow_image and dataflow_repository together."
  }
}

variable "dataflow_max_workers" {
  description = "The most workers that the stream grows to."
  type        = number
  default     = 10
}

variable "dataflow_parameters" {
  description = "More parameters of the template, such as policy; see deploy/dataflow/metadata.json."
  type        = map(string)
  default     = {}
}
