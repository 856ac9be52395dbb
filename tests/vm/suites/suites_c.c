// SPDX-License-Identifier: GPL-2.0
/*
 * Two suites of tests, of which one is skipped and none fails. A kernel without KUnit loads it
 * as well.
 */
#include <linux/module.h>
#include <kunit/test.h>

#if IS_ENABLED(CONFIG_KUNIT)

static void adds(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, 3, 1 + 2);
}

static void divides(struct kunit *test)
{
	kunit_skip(test, "no divider");
}

static struct kunit_case number_cases[] = {
	KUNIT_CASE(adds),
	KUNIT_CASE(divides),
	{},
};

static struct kunit_suite numbers = {
	.name = "numbers",
	.test_cases = number_cases,
};

static void compares(struct kunit *test)
{
	KUNIT_EXPECT_STREQ(test, "one", "one");
}

static struct kunit_case word_cases[] = {
	KUNIT_CASE(compares),
	{},
};

static struct kunit_suite words = {
	.name = "words",
	.test_cases = word_cases,
};

kunit_test_suites(&numbers, &words);

#endif

MODULE_DESCRIPTION("two suites of tests");
MODULE_LICENSE("GPL");
