"""Tables of scores, ratings and judgements as files hold them: read, checked cell by cell, and joined."""
