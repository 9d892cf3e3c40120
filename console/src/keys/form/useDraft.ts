import { useState } from 'preact/hooks'
import { ApiError } from '../../api/error'
import { changedFields, type Draft, type Field, type Wrong } from '../draft'
import { without, wrongByApi, wrongIn } from '../validate'
import { focusWrong } from './KeyForm'

/** useDraft holds what a form has of a key, and what is wrong with it. */
export function useDraft(initial: Draft) {
  const [draft, setDraft] = useState(initial)
  const [wrong, setWrong] = useState<Wrong>({})
  const show = (found: Wrong): boolean => {
    setWrong(found)
    if (Object.keys(found).length === 0) return false
    focusWrong(found)
    return true
  }
  return {
    draft,
    wrong,
    setDraft,
    /** Takes what the user enters. */
    change: (next: Draft) => {
      setDraft(next)
      setWrong(without(wrong, changedFields(draft, next)))
    },
    /** Reports whether fields can be sent, and shows what is wrong. */
    check: (fields: readonly Field[]): boolean => !show(wrongIn(draft, fields, Date.now())),
    /** Shows an error of the API at the fields that it names, and throws any other. */
    refused: (error: unknown): void => {
      if (!(error instanceof ApiError) || !show(wrongByApi(error, draft))) throw error
    },
  }
}
