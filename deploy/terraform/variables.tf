variable "cluster_name" {
  type        = string
  description = "The EKS cluster. Names of everything made here begin with medevac- and it."
}

variable "namespace" {
  type        = string
  default     = "medevac"
  description = "Of the daemon, with its service account `medevac`."
}

variable "auto_scaling_groups" {
  type        = list(string)
  default     = []
  description = "Groups whose machines are emptied before they end: each gets a hook whose name begins with medevac."
}

variable "launch_hooks" {
  type        = bool
  default     = false
  description = "Whether these groups also wait before a new machine takes work."
}

variable "hook_seconds" {
  type        = number
  default     = 600
  description = "How long a group waits for a word of its hook. The daemon sends heartbeats while something moves."
}

variable "artifact_buckets" {
  type        = list(string)
  default     = []
  description = "Buckets with artifacts and checkpoints: versions are kept, as the operational guide has it."
}

variable "backup_selection_tag" {
  type        = object({ key = string, value = string })
  default     = { key = "medevac.dev/backup", value = "nightly" }
  description = "Volumes and file systems with this tag are backed up."
}

variable "backup_plan" {
  type        = bool
  default     = false
  description = "Whether AWS Backup's own plan makes the nightly backups. If so, take the rule `nightly-volumes` out of rules/backup.yaml: it does the same."
}

variable "iam_policy_json" {
  type        = string
  description = "What `medevac rbac --rules DIR --config FILE --output iam` prints."
}

variable "tags" {
  type    = map(string)
  default = {}
}
