"""What any other room may use: files, progress, timing, versions, the checkout, mapped rows, linear algebra."""
