/*
 * death.h: threads that end in the middle of things, holding what they hold,
 * as a process does that is killed.  Tests are linked with --wrap for the
 * locks: a thread may die after it took one and before it gives one back.
 */

#ifndef DEATH_H
#define DEATH_H

/* Let this thread end at the n-th such point from now; 0: never. */
void death_at(long n);

/* How many there were since. */
long death_points(void);

#endif
