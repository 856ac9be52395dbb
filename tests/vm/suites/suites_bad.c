// SPDX-License-Identifier: GPL-2.0
/*
 * A suite of two tests, of which one fails. A kernel without KUnit loads it as well.
 */
#include <linux/module.h>
#include <kunit/test.h>

#if IS_ENABLED(CONFIG_KUNIT)

static void holds(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, true);
}

static void fails(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, 4, 1 + 2);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(holds),
	KUNIT_CASE(fails),
	{},
};

static struct kunit_suite bad = {
	.name = "bad",
	.test_cases = cases,
};

kunit_test_suite(bad);

#endif

MODULE_DESCRIPTION("a suite with a test that fails");
MODULE_LICENSE("GPL");
