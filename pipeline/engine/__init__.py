"""Recipe, plan, scheduler, worker, results, receipts, runners: how work is done, and what is done already."""
