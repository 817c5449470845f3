# The guide's versioning and lifecycle of artifacts.
resource "aws_s3_bucket_versioning" "artifacts" {
  for_each = toset(var.artifact_buckets)
  bucket   = each.value
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "artifacts" {
  for_each = toset(var.artifact_buckets)
  bucket   = each.value
  rule {
    id     = "transition-to-ia"
    status = "Enabled"
    filter {}
    transition {
      days          = 30
      storage_class = "STANDARD_IA"
    }
  }
  rule {
    id     = "delete-old-versions"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days = 90
    }
  }
  depends_on = [aws_s3_bucket_versioning.artifacts]
}
