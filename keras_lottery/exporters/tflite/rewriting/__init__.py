"""What a dense file is rewritten with: other precisions, sparse weights, other operators."""
