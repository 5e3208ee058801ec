"""What picture files say of their pixels beside colour: kept, and made true for the result."""
