output "queue_url" {
  value       = aws_sqs_queue.notices.url
  description = "For `aws.queues` in the configuration."
}

output "backup" {
  value       = { vault = aws_backup_vault.eks_pv.name, role = aws_iam_role.backup.arn }
  description = "For `aws.backup` in the configuration."
}
